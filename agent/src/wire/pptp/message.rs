//! The bodies of the fifteen control messages, field by field (RFC 2637 §2.1 to §2.15).

use crate::wire::read::Reader;

use super::{
    CONTROL_MESSAGE, Error, Header, MAGIC_COOKIE,
    codes::{
        Bearer, DisconnectResult, Framing, GeneralError, IncomingCallResult, MessageType, OutgoingCallResult,
        SimpleResult, StartResult, StopReason,
    },
};

body! {
    /// Opens the control connection (RFC 2637 §2.1).
    StartControlConnectionRequest {
        /// Version of the protocol: 0x0100 is 1.0, the only one.
        protocol_version: u16,
        @2,
        /// Framing that the sender can do.
        framing_capabilities: Framing,
        /// Bearers that the sender can do.
        bearer_capabilities: Bearer,
        /// Calls that a PAC can carry; clients send 0.
        maximum_channels: u16,
        /// Firmware or software revision of the sender.
        firmware_revision: u16,
        /// Name of the sender's host; often empty, `local` or `anonymous`.
        host_name: [64],
        /// Who made the sender; tells implementations apart.
        vendor: [64],
    }
}

body! {
    /// Answers a Start-Control-Connection-Request (RFC 2637 §2.2).
    StartControlConnectionReply {
        /// Version of the protocol that the sender speaks.
        protocol_version: u16,
        /// Whether the channel is up.
        result: StartResult,
        /// Why not, where the result is a general error.
        error: GeneralError,
        /// Framing that the sender can do.
        framing_capabilities: Framing,
        /// Bearers that the sender can do.
        bearer_capabilities: Bearer,
        /// Calls that the PAC can carry.
        maximum_channels: u16,
        /// Firmware or software revision of the sender.
        firmware_revision: u16,
        /// Name of the sender's host.
        host_name: [64],
        /// Who made the sender.
        vendor: [64],
    }
}

body! {
    /// Closes the control connection (RFC 2637 §2.3).
    StopControlConnectionRequest {
        /// Why it is closed.
        reason: StopReason,
        @3,
    }
}

body! {
    /// Answers a Stop-Control-Connection-Request (RFC 2637 §2.4).
    StopControlConnectionReply {
        /// Whether it is closed.
        result: SimpleResult,
        /// Why not, where the result is a general error.
        error: GeneralError,
        @2,
    }
}

body! {
    /// Asks whether the peer is alive (RFC 2637 §2.5).
    EchoRequest {
        /// Chosen by the sender to match the reply.
        identifier: u32,
    }
}

body! {
    /// Answers an Echo-Request (RFC 2637 §2.6).
    EchoReply {
        /// That of the request.
        identifier: u32,
        /// Whether the request was valid.
        result: SimpleResult,
        /// Why not, where the result is a general error.
        error: GeneralError,
        @2,
    }
}

body! {
    /// Opens a call (RFC 2637 §2.7).
    OutgoingCallRequest {
        /// Chosen by the client: key of the GRE packets *to* the client.
        call_id: u16,
        /// Number of the call in the sender's logs.
        call_serial_number: u16,
        /// Lowest acceptable line speed, bit/s.
        minimum_bps: u32,
        /// Highest acceptable line speed, bit/s.
        maximum_bps: u32,
        /// Bearer that the call needs.
        bearer_type: Bearer,
        /// Framing that the call needs.
        framing_type: Framing,
        /// GRE packets that the sender can buffer.
        receive_window_size: u16,
        /// Processing delay of the sender, tenths of a second.
        packet_processing_delay: u16,
        /// Digits of the phone number that count.
        phone_number_length: u16,
        @2,
        /// Number to dial; unused by VPN clients.
        phone_number: [64],
        /// More to dial.
        subaddress: [64],
    }
}

body! {
    /// Answers an Outgoing-Call-Request (RFC 2637 §2.8).
    OutgoingCallReply {
        /// Chosen by the server: key of the GRE packets *to* the server.
        call_id: u16,
        /// The call id of the request.
        peer_call_id: u16,
        /// Whether the call is up.
        result: OutgoingCallResult,
        /// Why not, where the result is a general error.
        error: GeneralError,
        /// More about a failure, from the telephone network.
        cause_code: u16,
        /// Line speed, bit/s.
        connect_speed: u32,
        /// GRE packets that the sender can buffer.
        receive_window_size: u16,
        /// Processing delay of the sender, tenths of a second.
        packet_processing_delay: u16,
        /// Line of the PAC that carries the call.
        physical_channel_id: u32,
    }
}

body! {
    /// Announces a call (RFC 2637 §2.9).
    IncomingCallRequest {
        /// Chosen by the PAC.
        call_id: u16,
        /// Number of the call in the sender's logs.
        call_serial_number: u16,
        /// Bearer of the call.
        bearer_type: Bearer,
        /// Line of the PAC.
        physical_channel_id: u32,
        /// Digits of the dialed number that count.
        dialed_number_length: u16,
        /// Digits of the dialing number that count.
        dialing_number_length: u16,
        /// Number that was called.
        dialed_number: [64],
        /// Number of the caller.
        dialing_number: [64],
        /// More of the dialed number.
        subaddress: [64],
    }
}

body! {
    /// Answers an Incoming-Call-Request (RFC 2637 §2.10).
    IncomingCallReply {
        /// Chosen by the PNS.
        call_id: u16,
        /// The call id of the request.
        peer_call_id: u16,
        /// Whether to answer the call.
        result: IncomingCallResult,
        /// Why not, where the result is a general error.
        error: GeneralError,
        /// GRE packets that the sender can buffer.
        receive_window_size: u16,
        /// Processing delay of the sender, tenths of a second.
        packet_transmit_delay: u16,
        @2,
    }
}

body! {
    /// The incoming call is up (RFC 2637 §2.11).
    IncomingCallConnected {
        /// The call id of the reply.
        peer_call_id: u16,
        @2,
        /// Line speed, bit/s.
        connect_speed: u32,
        /// GRE packets that the sender can buffer.
        receive_window_size: u16,
        /// Processing delay of the sender, tenths of a second.
        packet_transmit_delay: u16,
        /// Framing of the call.
        framing_type: Framing,
    }
}

body! {
    /// Asks the PAC to end a call (RFC 2637 §2.12).
    CallClearRequest {
        /// The id that the *sender* gave the call.
        call_id: u16,
        @2,
    }
}

body! {
    /// Says that a call has ended (RFC 2637 §2.13).
    CallDisconnectNotify {
        /// The id that the *sender* gave the call.
        call_id: u16,
        /// Why.
        result: DisconnectResult,
        /// More, where the result is a general error.
        error: GeneralError,
        /// More, from the telephone network.
        cause_code: u16,
        @2,
        /// Statistics of the call in the words of the sender.
        call_statistics: [128],
    }
}

body! {
    /// Line errors of the PAC (RFC 2637 §2.14).
    WanErrorNotify {
        /// The id that the receiver gave the call.
        peer_call_id: u16,
        @2,
        /// Frames with a wrong checksum since the call began.
        crc_errors: u32,
        /// Frames with wrong framing.
        framing_errors: u32,
        /// Receive buffer overruns of the hardware.
        hardware_overruns: u32,
        /// Receive buffer overruns of the software.
        buffer_overruns: u32,
        /// Time-outs.
        time_out_errors: u32,
        /// Alignment errors.
        alignment_errors: u32,
    }
}

body! {
    /// What PPP agreed on (RFC 2637 §2.15). A client sends it when LCP is up: proof that LCP came up
    /// even where GRE is not seen.
    SetLinkInfo {
        /// The id that the receiver gave the call.
        peer_call_id: u16,
        @2,
        /// Control characters that the client wants escaped when sending (RFC 1662 §7.1).
        send_accm: u32,
        /// Control characters that it drops when receiving.
        receive_accm: u32,
    }
}

/// Defines [`Message`]: one variant for each body, with the same name as its [`MessageType`].
macro_rules! messages {
    ($($name:ident,)*) => {
        /// A control message.
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
        #[serde(tag = "message", rename_all = "snake_case")]
        pub enum Message {
            $(#[doc = concat!("The message ", stringify!($name), ".")] $name($name),)*
        }

        impl Message {
            /// Which message it is.
            pub const fn message_type(&self) -> MessageType {
                match self {
                    $(Self::$name(_) => MessageType::$name,)*
                }
            }

            fn read(message_type: MessageType, reader: &mut Reader<'_>) -> Option<Self> {
                match message_type {
                    $(MessageType::$name => $name::read(reader).map(Self::$name),)*
                    MessageType::Unknown(_) => None,
                }
            }

            fn write(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$name(body) => body.write(out),)*
                }
            }
        }

        $(impl From<$name> for Message {
            fn from(body: $name) -> Self {
                Self::$name(body)
            }
        })*
    };
}

messages! {
    StartControlConnectionRequest,
    StartControlConnectionReply,
    StopControlConnectionRequest,
    StopControlConnectionReply,
    EchoRequest,
    EchoReply,
    OutgoingCallRequest,
    OutgoingCallReply,
    IncomingCallRequest,
    IncomingCallReply,
    IncomingCallConnected,
    CallClearRequest,
    CallDisconnectNotify,
    WanErrorNotify,
    SetLinkInfo,
}

impl Message {
    /// Decodes one message; bytes after it are not read.
    ///
    /// # Errors
    ///
    /// When the header is not one of a control message, or the message is cut.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let header = Header::decode(bytes)?;
        let needed = usize::from(header.length);
        let short = Error::Short { present: bytes.len(), needed };
        let body = bytes.get(super::HEADER_BYTES..needed).ok_or(short)?;
        Self::read(header.message_type, &mut Reader::new(body)).ok_or(short)
    }

    /// Writes the message as it is on the wire, reserved fields zero.
    pub fn encode(&self) -> Vec<u8> {
        let message_type = self.message_type();
        let length = message_type.length().unwrap_or_default() as u16;
        let mut out = Vec::with_capacity(usize::from(length));
        out.extend(length.to_be_bytes());
        out.extend(CONTROL_MESSAGE.to_be_bytes());
        out.extend(MAGIC_COOKIE.to_be_bytes());
        out.extend(message_type.number().to_be_bytes());
        out.extend([0, 0]);
        self.write(&mut out);
        out
    }

    /// Standard name in lower snake case: `outgoing_call_request`.
    pub const fn name(&self) -> &'static str {
        self.message_type().name()
    }
}
