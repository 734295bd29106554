//! Errors of Microsoft's remote access, as its Terminate-Requests carry them.

codes! {
    /// Errors of Microsoft's remote access service (Windows SDK, `raserror.h`).
    RasError: u32 {
        /// None: the user hung up.
        None = 0 "none",
        /// The other end hung up.
        RemoteDisconnection = 629 "remote_disconnection",
        /// The account may not log on at this time.
        RestrictedLogonHours = 646 "restricted_logon_hours",
        /// The account is disabled.
        AccountDisabled = 647 "account_disabled",
        /// The password has expired.
        PasswordExpired = 648 "password_expired",
        /// The account may not dial in.
        NoDialinPermission = 649 "no_dialin_permission",
        /// Wrong name or password, or the authentication protocol is not allowed.
        AuthenticationFailure = 691 "authentication_failure",
        /// The new password was not accepted.
        ChangingPassword = 709 "changing_password",
        /// The other end did not answer in time.
        PppTimeout = 718 "ppp_timeout",
        /// The other end closed PPP.
        PppRemoteTerminated = 719 "ppp_remote_terminated",
        /// No network protocol is configured.
        PppNoProtocolsConfigured = 720 "ppp_no_protocols_configured",
        /// The other end never answered.
        PppNoResponse = 721 "ppp_no_response",
        /// An invalid packet.
        PppInvalidPacket = 722 "ppp_invalid_packet",
        /// The ends did not agree.
        PppNotConverging = 732 "ppp_not_converging",
        /// No network protocol was agreed on.
        PppCpRejected = 733 "ppp_cp_rejected",
        /// LCP was closed.
        PppLcpTerminated = 734 "ppp_lcp_terminated",
        /// The address that was asked for was refused.
        PppRequiredAddressRejected = 735 "ppp_required_address_rejected",
        /// A network protocol was closed.
        PppNcpTerminated = 736 "ppp_ncp_terminated",
        /// The line is looped back.
        PppLoopbackDetected = 737 "ppp_loopback_detected",
        /// The server had no address for the client.
        PppNoAddressAssigned = 738 "ppp_no_address_assigned",
        /// This end cannot encrypt as is demanded.
        NoLocalEncryption = 741 "no_local_encryption",
        /// The other end cannot encrypt as is demanded.
        NoRemoteEncryption = 742 "no_remote_encryption",
        /// The other end demands encryption.
        RemoteRequiresEncryption = 743 "remote_requires_encryption",
        /// The authentication server did not answer in time.
        AuthServerTimeout = 930 "auth_server_timeout",
    }
}
