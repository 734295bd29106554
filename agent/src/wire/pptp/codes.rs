//! Numbers of the control connection (RFC 2637 §2).

codes! {
    /// Control message types (RFC 2637 §1.4).
    MessageType: u16 {
        /// Opens the control connection.
        StartControlConnectionRequest = 1 "start_control_connection_request",
        /// Answers it.
        StartControlConnectionReply = 2 "start_control_connection_reply",
        /// Closes the control connection and every call of it.
        StopControlConnectionRequest = 3 "stop_control_connection_request",
        /// Answers it.
        StopControlConnectionReply = 4 "stop_control_connection_reply",
        /// Keep-alive, after 60 s of silence.
        EchoRequest = 5 "echo_request",
        /// Answers it.
        EchoReply = 6 "echo_reply",
        /// Opens a call from PNS to PAC: what every VPN client sends.
        OutgoingCallRequest = 7 "outgoing_call_request",
        /// Answers it.
        OutgoingCallReply = 8 "outgoing_call_reply",
        /// Announces a call from PAC to PNS.
        IncomingCallRequest = 9 "incoming_call_request",
        /// Answers it.
        IncomingCallReply = 10 "incoming_call_reply",
        /// The incoming call is up.
        IncomingCallConnected = 11 "incoming_call_connected",
        /// The client ends the call.
        CallClearRequest = 12 "call_clear_request",
        /// The server says that the call has ended.
        CallDisconnectNotify = 13 "call_disconnect_notify",
        /// Line errors of a PAC with a serial line.
        WanErrorNotify = 14 "wan_error_notify",
        /// What PPP agreed on, said aloud.
        SetLinkInfo = 15 "set_link_info",
    }
}

codes! {
    /// General error codes, valid where the result says general error (RFC 2637 §2.16).
    GeneralError: u8 {
        /// No general error.
        None = 0 "none",
        /// No control connection exists yet for this pair.
        NotConnected = 1 "not_connected",
        /// Length is wrong or the magic cookie is incorrect.
        BadFormat = 2 "bad_format",
        /// A field was out of range or a reserved field was not zero.
        BadValue = 3 "bad_value",
        /// Not enough resources to handle this now.
        NoResource = 4 "no_resource",
        /// The call id is invalid in this context.
        BadCallId = 5 "bad_call_id",
        /// A vendor-specific error of the PAC.
        PacError = 6 "pac_error",
    }
}

codes! {
    /// Result of a Start-Control-Connection-Reply (RFC 2637 §2.2).
    StartResult: u8 {
        /// The channel is up.
        Successful = 1 "successful",
        /// See the general error.
        GeneralError = 2 "general_error",
        /// The command channel already exists.
        AlreadyExists = 3 "already_exists",
        /// The requester may not open a command channel.
        NotAuthorized = 4 "not_authorized",
        /// The protocol version of the requester is not supported.
        VersionNotSupported = 5 "version_not_supported",
    }
}

codes! {
    /// Reason of a Stop-Control-Connection-Request (RFC 2637 §2.3).
    StopReason: u8 {
        /// General request to clear the control connection.
        None = 1 "none",
        /// The peer's version of the protocol is not supported.
        StopProtocol = 2 "stop_protocol",
        /// The requester is being shut down.
        StopLocalShutdown = 3 "stop_local_shutdown",
    }
}

codes! {
    /// Result of a Stop-Control-Connection-Reply (RFC 2637 §2.4) or an Echo-Reply (§2.6).
    SimpleResult: u8 {
        /// Done.
        Ok = 1 "ok",
        /// See the general error.
        GeneralError = 2 "general_error",
    }
}

codes! {
    /// Result of an Outgoing-Call-Reply (RFC 2637 §2.8).
    OutgoingCallResult: u8 {
        /// The call is up.
        Connected = 1 "connected",
        /// See the general error.
        GeneralError = 2 "general_error",
        /// No carrier detected.
        NoCarrier = 3 "no_carrier",
        /// Busy signal.
        Busy = 4 "busy",
        /// No dial tone.
        NoDialTone = 5 "no_dial_tone",
        /// The call was not up within the time allotted.
        TimeOut = 6 "time_out",
        /// Administratively prohibited.
        DoNotAccept = 7 "do_not_accept",
    }
}

codes! {
    /// Result of an Incoming-Call-Reply (RFC 2637 §2.10).
    IncomingCallResult: u8 {
        /// The PAC should answer the call.
        Connect = 1 "connect",
        /// See the general error.
        GeneralError = 2 "general_error",
        /// The PAC should hang up or give a busy signal.
        DoNotAccept = 3 "do_not_accept",
    }
}

codes! {
    /// Result of a Call-Disconnect-Notify (RFC 2637 §2.13).
    DisconnectResult: u8 {
        /// Loss of carrier; also what servers send when pppd has exited.
        LostCarrier = 1 "lost_carrier",
        /// See the general error.
        GeneralError = 2 "general_error",
        /// Administrative reasons.
        AdminShutdown = 3 "admin_shutdown",
        /// A Call-Clear-Request asked for it.
        Request = 4 "request",
    }
}

flags! {
    /// Framing that the sender can do or wants (RFC 2637 §2.1).
    Framing: u32 {
        /// Asynchronous.
        ASYNCHRONOUS = 0x1 "asynchronous",
        /// Synchronous.
        SYNCHRONOUS = 0x2 "synchronous",
    }
}

flags! {
    /// Bearers that the sender can do or wants (RFC 2637 §2.1).
    Bearer: u32 {
        /// Analog lines.
        ANALOG = 0x1 "analog",
        /// Digital lines.
        DIGITAL = 0x2 "digital",
    }
}

impl MessageType {
    /// Length of the message with its header, bytes; None for a type that RFC 2637 does not define.
    pub const fn length(self) -> Option<usize> {
        Some(match self {
            Self::StartControlConnectionRequest | Self::StartControlConnectionReply => 156,
            Self::StopControlConnectionRequest | Self::StopControlConnectionReply => 16,
            Self::EchoRequest | Self::CallClearRequest => 16,
            Self::EchoReply => 20,
            Self::OutgoingCallRequest => 168,
            Self::OutgoingCallReply => 32,
            Self::IncomingCallRequest => 220,
            Self::IncomingCallReply | Self::SetLinkInfo => 24,
            Self::IncomingCallConnected => 28,
            Self::CallDisconnectNotify => 148,
            Self::WanErrorNotify => 40,
            Self::Unknown(_) => return None,
        })
    }
}
