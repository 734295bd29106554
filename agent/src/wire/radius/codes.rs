//! Numbers of RADIUS with names.

codes! {
    /// Codes of packets (RFC 2865 §4, RFC 2866 §4, RFC 5176 §3).
    Code: u8 as "RadiusCode" {
        /// May this user log in?
        AccessRequest = 1 "access_request",
        /// Yes.
        AccessAccept = 2 "access_accept",
        /// No.
        AccessReject = 3 "access_reject",
        /// A call begins, goes on or has ended.
        AccountingRequest = 4 "accounting_request",
        /// Noted.
        AccountingResponse = 5 "accounting_response",
        /// More is needed: the next round of EAP.
        AccessChallenge = 11 "access_challenge",
        /// Is the server alive (RFC 5997)?
        StatusServer = 12 "status_server",
        /// Is the client alive?
        StatusClient = 13 "status_client",
        /// End this call.
        DisconnectRequest = 40 "disconnect_request",
        /// It is ended.
        DisconnectAck = 41 "disconnect_ack",
        /// It cannot be ended.
        DisconnectNak = 42 "disconnect_nak",
        /// Change what this call may do.
        CoaRequest = 43 "coa_request",
        /// Changed.
        CoaAck = 44 "coa_ack",
        /// Not changed.
        CoaNak = 45 "coa_nak",
    }
}

impl Code {
    /// Whether the packet answers a request.
    pub const fn is_answer(self) -> bool {
        matches!(
            self,
            Self::AccessAccept
                | Self::AccessReject
                | Self::AccessChallenge
                | Self::AccountingResponse
                | Self::DisconnectAck
                | Self::DisconnectNak
                | Self::CoaAck
                | Self::CoaNak
        )
    }
}

codes! {
    /// What a user wants or gets (RFC 2865 §5.6).
    ServiceType: u32 as "RadiusServiceType" {
        /// A login shell.
        Login = 1 "login",
        /// A link for PPP or SLIP.
        Framed = 2 "framed",
        /// A login shell after calling back.
        CallbackLogin = 3 "callback_login",
        /// A link after calling back.
        CallbackFramed = 4 "callback_framed",
        /// Outgoing use of the server.
        Outbound = 5 "outbound",
        /// Its administration.
        Administrative = 6 "administrative",
        /// Its shell.
        NasPrompt = 7 "nas_prompt",
        /// Only authentication.
        AuthenticateOnly = 8 "authenticate_only",
        /// A check before a call is taken.
        CallCheck = 10 "call_check",
    }
}

codes! {
    /// Framing of a link (RFC 2865 §5.7).
    FramedProtocol: u32 as "RadiusFramedProtocol" {
        /// PPP.
        Ppp = 1 "ppp",
        /// SLIP.
        Slip = 2 "slip",
    }
}

codes! {
    /// What an Accounting-Request tells (RFC 2866 §5.1).
    AcctStatusType: u32 as "RadiusAcctStatusType" {
        /// The call begins.
        Start = 1 "start",
        /// The call has ended.
        Stop = 2 "stop",
        /// The call goes on.
        InterimUpdate = 3 "interim_update",
        /// The VPN server has started.
        AccountingOn = 7 "accounting_on",
        /// The VPN server stops.
        AccountingOff = 8 "accounting_off",
    }
}

codes! {
    /// Who authenticated the user (RFC 2866 §5.6).
    AcctAuthentic: u32 as "RadiusAcctAuthentic" {
        /// RADIUS.
        Radius = 1 "radius",
        /// The VPN server itself.
        Local = 2 "local",
        /// Another protocol.
        Remote = 3 "remote",
    }
}

codes! {
    /// Why a call ended (RFC 2866 §5.10).
    TerminateCause: u32 as "RadiusTerminateCause" {
        /// The user asked for it.
        UserRequest = 1 "user_request",
        /// The carrier was lost.
        LostCarrier = 2 "lost_carrier",
        /// The service is gone.
        LostService = 3 "lost_service",
        /// Nothing happened for too long.
        IdleTimeout = 4 "idle_timeout",
        /// The call lasted as long as it may.
        SessionTimeout = 5 "session_timeout",
        /// The administrator ended it.
        AdminReset = 6 "admin_reset",
        /// The administrator restarts the server.
        AdminReboot = 7 "admin_reboot",
        /// An error of the port.
        PortError = 8 "port_error",
        /// An error of the server.
        NasError = 9 "nas_error",
        /// The server ended it for another reason.
        NasRequest = 10 "nas_request",
        /// The server restarted without being asked.
        NasReboot = 11 "nas_reboot",
        /// The port was no longer needed.
        PortUnneeded = 12 "port_unneeded",
        /// The port was needed for another.
        PortPreempted = 13 "port_preempted",
        /// The port was suspended.
        PortSuspended = 14 "port_suspended",
        /// The server cannot give the service.
        ServiceUnavailable = 15 "service_unavailable",
        /// The server calls back.
        Callback = 16 "callback",
        /// An error of the user's input.
        UserError = 17 "user_error",
        /// The server of the user ended it.
        HostRequest = 18 "host_request",
    }
}

codes! {
    /// What the user comes in on (RFC 2865 §5.41).
    NasPortType: u32 as "RadiusNasPortType" {
        /// A serial line, such as a pty.
        Async = 0 "async",
        /// A synchronous line.
        Sync = 1 "sync",
        /// ISDN.
        IsdnSync = 2 "isdn_sync",
        /// Nothing physical: a tunnel.
        Virtual = 5 "virtual",
        /// Ethernet.
        Ethernet = 15 "ethernet",
        /// Wireless.
        Wireless80211 = 19 "wireless_802_11",
    }
}

codes! {
    /// Kinds of tunnels (RFC 2868 §3.1).
    TunnelType: u32 as "RadiusTunnelType" {
        /// PPTP.
        Pptp = 1 "pptp",
        /// L2F.
        L2f = 2 "l2f",
        /// L2TP.
        L2tp = 3 "l2tp",
        /// SSTP, by Microsoft's own number.
        Sstp = 0x0001_3701 "sstp",
    }
}

codes! {
    /// What a tunnel runs over (RFC 2868 §3.2).
    TunnelMediumType: u32 as "RadiusTunnelMediumType" {
        /// IPv4.
        Ipv4 = 1 "ipv4",
        /// IPv6.
        Ipv6 = 2 "ipv6",
    }
}

codes! {
    /// Whether the user's traffic must be encrypted (RFC 2548 §2.4.4).
    MppePolicy: u32 as "RadiusMppePolicy" {
        /// May be.
        Allowed = 1 "encryption_allowed",
        /// Must be.
        Required = 2 "encryption_required",
    }
}

flags! {
    /// Keys that the user may encrypt with (RFC 2548 §2.4.5).
    RadiusMppeTypes: u32 {
        /// 40 bits.
        BITS_40 = 0x2 "40_bit",
        /// 128 bits.
        BITS_128 = 0x4 "128_bit",
    }
}

codes! {
    /// Why a request to end or change a call failed (RFC 5176 §3.5).
    ErrorCause: u32 as "RadiusErrorCause" {
        /// The call was gone; what was left of it is removed.
        ResidualSessionRemoved = 201 "residual_session_removed",
        /// An attribute is not supported.
        UnsupportedAttribute = 401 "unsupported_attribute",
        /// An attribute is missing.
        MissingAttribute = 402 "missing_attribute",
        /// The request names another server.
        NasMismatch = 403 "nas_mismatch",
        /// The request is not valid.
        InvalidRequest = 404 "invalid_request",
        /// The service is not supported.
        UnsupportedService = 405 "unsupported_service",
        /// The server does not do this.
        UnsupportedExtension = 406 "unsupported_extension",
        /// The value of an attribute is not valid.
        InvalidAttributeValue = 407 "invalid_attribute_value",
        /// The administrator forbids it.
        AdministrativelyProhibited = 501 "administratively_prohibited",
        /// There is no such call.
        SessionNotFound = 503 "session_context_not_found",
        /// The call cannot be ended.
        SessionNotRemovable = 504 "session_context_not_removable",
        /// Resources are missing.
        ResourcesUnavailable = 506 "resources_unavailable",
    }
}
