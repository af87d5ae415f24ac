//! The CIB sections that an administrator configures for the roles.

/// The times with 300 s for taking the role, as in the manual.
const OPERATIONS: &str = r#"<operations>
    <op id="master-start" name="start" interval="0" timeout="300s"/>
    <op id="master-stop" name="stop" interval="0" timeout="60s"/>
    <op id="master-promote" name="promote" interval="0" timeout="300s"/>
    <op id="master-demote" name="demote" interval="0" timeout="60s"/>
    MONITORS</operations>"#;

/// A fenced host stays off. A lab's host that is rebooted is back on the network at once and refuses connections, long
/// before a real server would. A host that stays off does not answer, and every connection to it waits for its timeout.
pub(crate) const STAYS_OFF: &str = r#"<crm_config><cluster_property_set id="cib-bootstrap-options">
    <nvpair id="opt-action" name="stonith-action" value="off"/></cluster_property_set></crm_config>"#;

/// The resource `ganeti-node-role`, on all nodes.
pub(crate) const NODE_ROLE: &str = r#"<clone id="node-clone"><meta_attributes id="node-meta">
    <nvpair id="node-notify" name="notify" value="true"/></meta_attributes>
    <primitive id="node" class="ocf" provider="ganeti" type="ganeti-node-role"><operations>
    <op id="node-monitor" name="monitor" interval="4s" timeout="30s"/></operations></primitive></clone>"#;

/// The form in which Pacemaker runs the master role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Roles {
    /// As one resource (a primitive).
    Primitive,
    /// As a promotable clone.
    Promotable,
}

impl Roles {
    /// Returns the role that the master's instance has in Pacemaker.
    pub(crate) fn active(self) -> &'static str {
        match self {
            Self::Primitive => "Started",
            Self::Promotable => "Promoted",
        }
    }

    /// Returns both roles, as sections of a CIB.
    pub(crate) fn sections(self) -> String {
        let master = match self {
            Self::Primitive => primitive(),
            Self::Promotable => promotable(),
        };
        format!("{STAYS_OFF}<resources>{master}{NODE_ROLE}</resources>")
    }
}

fn primitive() -> String {
    let monitors = r#"<op id="master-monitor" name="monitor" interval="3s" timeout="30s"/>"#;
    format!(
        r#"<primitive id="master" class="ocf" provider="ganeti" type="ganeti-master-role">{}
           <meta_attributes id="master-meta"><nvpair id="master-stickiness" name="resource-stickiness" value="INFINITY"/>
           </meta_attributes></primitive>"#,
        OPERATIONS.replace("MONITORS", monitors)
    )
}

fn promotable() -> String {
    let monitors = r#"<op id="master-promoted" name="monitor" role="Promoted" interval="3s" timeout="30s"/>
        <op id="master-unpromoted" name="monitor" role="Unpromoted" interval="4s" timeout="30s"/>"#;
    format!(
        r#"<clone id="master-clone"><meta_attributes id="master-meta">
           <nvpair id="master-promotable" name="promotable" value="true"/></meta_attributes>
           <primitive id="master" class="ocf" provider="ganeti" type="ganeti-master-role">{}</primitive></clone>"#,
        OPERATIONS.replace("MONITORS", monitors)
    )
}

/// Ganeti's `design-linuxha.rst` with its example agents: "a sticky resource that is active on only one node", "a cloned
/// resource that is active on all nodes", with notifications; the times are those of the examples' metadata.
pub(crate) const EXAMPLES: &str = r#"<resources>
    <primitive id="master" class="ocf" provider="ganeti" type="ganeti-master-role">
    <meta_attributes id="master-meta"><nvpair id="master-sticky" name="resource-stickiness" value="INFINITY"/></meta_attributes>
    <operations><op id="master-start" name="start" interval="0" timeout="300s"/>
    <op id="master-stop" name="stop" interval="0" timeout="50s"/>
    <op id="master-monitor" name="monitor" interval="30s" timeout="10s"/></operations></primitive>
    <clone id="node-clone"><meta_attributes id="node-meta"><nvpair id="node-notify" name="notify" value="true"/></meta_attributes>
    <primitive id="node" class="ocf" provider="ganeti" type="ganeti-node-role">
    <operations><op id="node-start" name="start" interval="0" timeout="10s"/>
    <op id="node-stop" name="stop" interval="0" timeout="10s"/>
    <op id="node-monitor" name="monitor" interval="30s" timeout="10s"/>
    <op id="node-notification" name="notify" interval="0" timeout="1000s"/></operations></primitive></clone></resources>"#;
