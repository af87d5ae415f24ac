//! Get SDR (IPMI 2.0 section 33.12): parses as much of a sensor's record as its reading needs.
//!
//! `ipmi-rs` parses whole records, and panics at some that a BMC may send: it indexes past the end of short ones and
//! takes reserved bits for impossible. Here a record that cannot be parsed is skipped, and the next one is known all
//! the same.

use ipmi_rs::connection::{IpmiCommand, Message, NetFn, NotEnoughData};
use ipmi_rs::storage::sdr::RecordId;
use ipmi_rs::storage::sdr::record::SensorKey;

/// The Get SDR command: asks for one record of the sensor data repository, in one piece. Needs user level.
#[derive(Clone, Copy, Debug)]
pub struct GetSensorRecord(pub RecordId);

/// One record, and the id of the next one.
#[derive(Clone, Debug, PartialEq)]
pub struct SensorRecord {
    /// The id of the next record.
    pub next: RecordId,
    /// The threshold sensor that the record describes; `None` if the record describes anything else, or cannot be
    /// parsed.
    pub sensor: Option<ThresholdSensor>,
}

/// A sensor that the BMC compares with thresholds.
#[derive(Clone, Debug, PartialEq)]
pub struct ThresholdSensor {
    /// The key with which its reading is requested.
    pub key: SensorKey,
    /// Its name in the record; empty if that is not 8-bit text.
    pub name: String,
}

/// Record types, each with the offset of the type/length byte of its ID string, behind the 5 bytes of the header
/// (tables 43-1 and 43-2).
const RECORDS: [(u8, usize); 2] = [(0x01, 42), (0x02, 26)];

/// The offset of the event/reading type code, and its value for threshold sensors (table 42-1).
const READING_TYPE: (usize, u8) = (8, 0x01);

impl From<GetSensorRecord> for Message {
    fn from(value: GetSensorRecord) -> Self {
        const WHOLE: u8 = 0xFF;
        let [low, high] = value.0.value().to_le_bytes();
        Self::new_request(NetFn::Storage, 0x23, vec![0, 0, low, high, 0, WHOLE])
    }
}

impl IpmiCommand for GetSensorRecord {
    type Output = SensorRecord;
    type Error = NotEnoughData;

    fn parse_success_response(data: &[u8]) -> Result<Self::Output, Self::Error> {
        let (next, record) = data.split_first_chunk::<2>().ok_or(NotEnoughData)?;
        Ok(SensorRecord { next: RecordId::new_raw(u16::from_le_bytes(*next)), sensor: threshold_sensor(record) })
    }
}

/// The Reserve SDR Repository command (section 33.11). Only with its reservation may a record be read in parts.
#[derive(Clone, Copy, Debug)]
pub struct ReserveSensorRecords;

impl From<ReserveSensorRecords> for Message {
    fn from(_: ReserveSensorRecords) -> Self {
        Self::new_request(NetFn::Storage, 0x22, Vec::new())
    }
}

impl IpmiCommand for ReserveSensorRecords {
    /// The number of the reservation.
    type Output = u16;
    type Error = NotEnoughData;

    fn parse_success_response(data: &[u8]) -> Result<u16, NotEnoughData> {
        data.first_chunk::<2>().map(|bytes| u16::from_le_bytes(*bytes)).ok_or(NotEnoughData)
    }
}

/// The Get SDR command for a part of a record: some BMCs return no record whole (completion code CAh).
#[derive(Clone, Copy, Debug)]
pub struct GetSensorRecordPart {
    /// The reservation, from [`ReserveSensorRecords`].
    pub reservation: u16,
    /// The id of the record.
    pub record: RecordId,
    /// The offset of the first byte in the record.
    pub offset: u8,
    /// The number of bytes, at most 16: that much fits into the shortest message that a BMC may have.
    pub count: u8,
}

impl From<GetSensorRecordPart> for Message {
    fn from(value: GetSensorRecordPart) -> Self {
        let [low, high] = value.reservation.to_le_bytes();
        let [id_low, id_high] = value.record.value().to_le_bytes();
        Self::new_request(NetFn::Storage, 0x23, vec![low, high, id_low, id_high, value.offset, value.count])
    }
}

impl IpmiCommand for GetSensorRecordPart {
    /// The id of the next record, and the bytes of the part.
    type Output = (RecordId, Vec<u8>);
    type Error = NotEnoughData;

    fn parse_success_response(data: &[u8]) -> Result<Self::Output, Self::Error> {
        let (next, part) = data.split_first_chunk::<2>().ok_or(NotEnoughData)?;
        Ok((RecordId::new_raw(u16::from_le_bytes(*next)), part.to_vec()))
    }
}

impl SensorRecord {
    /// Returns the record whose parts were read, in order.
    #[must_use]
    pub fn from_parts(next: RecordId, record: &[u8]) -> Self {
        Self { next, sensor: threshold_sensor(record) }
    }
}

fn threshold_sensor(record: &[u8]) -> Option<ThresholdSensor> {
    let ([_, _, _, kind, _], body) = record.split_first_chunk::<5>()?;
    let (_, name_at) = RECORDS.iter().find(|(known, _)| known == kind)?;
    if *body.get(READING_TYPE.0)? != READING_TYPE.1 {
        return None;
    }
    let key = SensorKey::parse(body.get(..3)?).ok()?;
    let name = body.get(*name_at..).map(name).unwrap_or_default();
    Some(ThresholdSensor { key, name })
}

/// Parses a type/length byte and its text (section 43.15). A text that is not 8-bit text becomes an empty name.
fn name(bytes: &[u8]) -> String {
    const EIGHT_BIT: u8 = 0b11;
    let Some((&type_length, text)) = bytes.split_first() else { return String::new() };
    if type_length >> 6 != EIGHT_BIT {
        return String::new();
    }
    let length = usize::from(type_length & 0x1F).min(text.len());
    let text = text.iter().take(length).map(|byte| char::from(*byte));
    text.map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}
