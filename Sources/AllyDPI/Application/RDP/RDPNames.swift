/// What numbers of RDP are called in records.
enum RDPNames {
  /// MS-RDPBCGR 2.2.1.2.1; nil for others.
  static func securityProtocol(_ number: UInt32) -> String? {
    switch number {
    case 0: "rdp"
    case 1: "ssl"
    case 2: "hybrid"
    case 4: "rds_tls"
    case 8: "hybrid_ex"
    default: nil
    }
  }

  /// MS-RDPBCGR 2.2.1.2.2; nil for others.
  static func failure(_ number: UInt32) -> String? {
    switch number {
    case 1: "ssl required by server"
    case 2: "ssl not allowed by server"
    case 3: "ssl cert not on server"
    case 4: "inconsistent flags"
    case 5: "hybrid required by server"
    case 6: "ssl with user auth required by server"
    default: nil
    }
  }

  // Flags, lowest bit first; nil for a bit without meaning.

  /// MS-RDPBCGR 2.2.1.1.1.
  static let requestFlags: [StaticString?] = [
    "restricted_admin_mode_required", "redirected_authentication_mode_required", nil, "correlation_info_present",
  ]

  /// MS-RDPBCGR 2.2.1.2.1.
  static let responseFlags: [StaticString?] = [
    "extended_client_data", "dynvc_gfx", nil, "restricted_admin", "redirected_authentication",
  ]

  /// `earlyCapabilityFlags` (MS-RDPBCGR 2.2.1.3.2).
  static let capabilities: [StaticString?] = [
    "support_errinfo_pdf", "want_32bpp_session", "support_statusinfo_pdu", "strong_asymmetric_keys", nil,
    "valid_connection_type", "support_monitor_layout_pdu", "support_netchar_autodetect", "support_dynvc_gfx_protocol",
    "support_dynamic_time_zone", "support_heartbeat_pdu",
  ]

  /// Bits for each pixel by `colorDepth` and `postBeta2ColorDepth` (MS-RDPBCGR 2.2.1.3.2).
  static func bits(colorDepth: UInt16, _ known: ClosedRange<UInt16>) -> UInt8? {
    known.contains(colorDepth) ? [4, 8, 15, 16, 24][Int(colorDepth - 0xCA00)] : nil
  }

  static func bits(highColorDepth: UInt16) -> UInt8? {
    [4, 8, 15, 16, 24].contains(highColorDepth) ? UInt8(highColorDepth) : nil
  }

  static func version(_ number: UInt32) -> String {
    switch number {
    case 0x0008_0001: "v4"
    case 0x0008_0004: "v5"
    case 0x0008_0005...0x0008_000C: "v10.\(number - 0x0008_0005)"
    default: "unknown"
    }
  }

  /// Windows by its build.
  static func system(_ build: UInt32) -> String {
    switch build {
    case 2195: "Windows 2000"
    case 2600: "Windows XP"
    case 3790: "Windows Server 2003"
    case 6000: "Windows Vista RTM"
    case 6001: "Windows Vista SP1"
    case 6002: "Windows Vista SP2"
    case 7600: "Windows 7 RTM"
    case 7601: "Windows 7 SP1"
    case 9200: "Windows 8"
    case 9600: "Windows 8.1"
    case 10240: "Windows 10 TH1"
    case 10586: "Windows 10 TH2"
    case 14393: "Windows 10 RS1"
    case 15063: "Windows 10 RS2"
    case 16299: "Windows 10 RS3"
    case 17134: "Windows 10 RS4"
    case 17763: "Windows 10 RS5"
    default: "unknown"
    }
  }

  static func keyboard(_ type: UInt32) -> String? {
    switch type {
    case 1: "xt"
    case 2: "ico"
    case 3: "at"
    case 4: "enhanced"
    case 5: "1050"
    case 6: "9140"
    case 7: "jp"
    default: nil
    }
  }

  static func connection(_ type: UInt8) -> String? {
    switch type {
    case 1: "modem"
    case 2: "low_broadband"
    case 3: "satellite"
    case 4: "high_broadband"
    case 5: "wan"
    case 6: "lan"
    case 7: "autodetect"
    default: nil
    }
  }
}
