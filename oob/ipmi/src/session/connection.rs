//! A session as a connection of `ipmi-rs`.

use ipmi_rs::connection::{IpmiConnection, Message, Request, Response};

use super::Session;
use crate::Error;
use crate::lan_message::LanReply;

impl IpmiConnection for Session {
    type SendError = Error;
    type RecvError = Error;
    type Error = Error;

    fn send(&mut self, request: &mut Request) -> Result<(), Error> {
        let message = Message::new_raw(request.netfn_raw(), request.cmd(), request.data().to_vec());
        let lun = self.own_lun(request)?;
        self.pending = Some(self.request(&message, lun));
        Ok(())
    }

    fn recv(&mut self) -> Result<Response, Error> {
        let misuse = Error::Misuse { peer: self.peer(), what: "an answer was waited for but nothing was asked" };
        let request = self.pending.take().ok_or(misuse)?;
        let reply = self.exchange(&request)?;
        self.response(reply)
    }

    fn send_recv(&mut self, request: &mut Request) -> Result<Response, Error> {
        let reply = self.answer(request)?;
        self.response(reply)
    }
}

impl Session {
    fn response(&self, reply: LanReply) -> Result<Response, Error> {
        let mut data = vec![reply.completion_code];
        data.extend(reply.data);
        let message = Message::new_raw(reply.net_fn, reply.command, data);
        let empty = Error::Misuse { peer: self.peer(), what: "a reply without completion code was accepted" };
        Response::new(message, i64::from(reply.sequence)).ok_or(empty)
    }
}
