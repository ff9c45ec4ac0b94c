/// The names that stand for numbers in a policy. A number is always accepted in a name's place.
enum Names {
  /// Ports of the service names that policies use most (IANA Service Name and Transport Protocol Port Number Registry).
  static let services: [String: UInt16] = [
    "ftp-data": 20, "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "whois": 43, "domain": 53,
    "bootps": 67, "bootpc": 68, "tftp": 69, "gopher": 70, "finger": 79, "http": 80, "kerberos": 88, "pop3": 110,
    "sunrpc": 111, "auth": 113, "nntp": 119, "ntp": 123, "netbios-ns": 137, "netbios-dgm": 138, "netbios-ssn": 139,
    "imap2": 143, "snmp": 161, "snmp-trap": 162, "bgp": 179, "ldap": 389, "https": 443,
    "microsoft-ds": 445, "isakmp": 500, "syslog": 514, "printer": 515, "dhcpv6-client": 546, "dhcpv6-server": 547,
    "rtsp": 554, "ipp": 631, "ldaps": 636, "domain-s": 853, "rsync": 873, "ftps-data": 989, "ftps": 990,
    "imaps": 993, "pop3s": 995, "socks": 1080, "openvpn": 1194, "ms-sql-s": 1433, "radius": 1812,
    "radius-acct": 1813, "nfs": 2049, "mysql": 3306, "ms-wbt-server": 3389, "postgresql": 5432, "sip": 5060,
    "sip-tls": 5061, "mdns": 5353, "xmpp-client": 5222, "amqp": 5672, "redis": 6379, "http-alt": 8080,
  ]

  /// IP protocols (IANA Protocol Numbers).
  static let protocols: [String: UInt8] = [
    "hopopt": 0, "icmp": 1, "igmp": 2, "ipencap": 4, "tcp": 6, "egp": 8, "udp": 17, "dccp": 33, "ipv6": 41,
    "ipv6-route": 43, "ipv6-frag": 44, "rsvp": 46, "gre": 47, "esp": 50, "ah": 51, "ipv6-icmp": 58, "icmpv6": 58,
    "ipv6-nonxt": 59, "ipv6-opts": 60, "eigrp": 88, "ospf": 89, "pim": 103, "vrrp": 112, "l2tp": 115, "sctp": 132,
    "mobility-header": 135, "udplite": 136,
  ]

  /// ICMP types (RFC 792, RFC 950, RFC 1256).
  static let icmpTypes: [String: UInt8] = [
    "echo-reply": 0, "destination-unreachable": 3, "source-quench": 4, "redirect": 5, "echo-request": 8,
    "router-advertisement": 9, "router-solicitation": 10, "time-exceeded": 11, "parameter-problem": 12,
    "timestamp-request": 13, "timestamp-reply": 14, "info-request": 15, "info-reply": 16, "address-mask-request": 17,
    "address-mask-reply": 18,
  ]

  /// ICMPv6 types (RFC 4443, RFC 2710, RFC 3810, RFC 4861, RFC 2894, RFC 3122).
  static let icmpv6Types: [String: UInt8] = [
    "destination-unreachable": 1, "packet-too-big": 2, "time-exceeded": 3, "parameter-problem": 4,
    "echo-request": 128, "echo-reply": 129, "mld-listener-query": 130, "mld-listener-report": 131,
    "mld-listener-done": 132, "mld-listener-reduction": 132, "nd-router-solicit": 133, "nd-router-advert": 134,
    "nd-neighbor-solicit": 135, "nd-neighbor-advert": 136, "nd-redirect": 137, "router-renumbering": 138,
    "ind-neighbor-solicit": 141, "ind-neighbor-advert": 142, "mld2-listener-report": 143,
  ]

  /// Codes of ICMP's destination unreachable (RFC 792, RFC 1812 §5.2.7.1).
  static let icmpCodes: [String: UInt8] = [
    "net-unreachable": 0, "host-unreachable": 1, "prot-unreachable": 2, "port-unreachable": 3, "frag-needed": 4,
    "net-prohibited": 9, "host-prohibited": 10, "admin-prohibited": 13,
  ]

  /// Codes of ICMPv6's destination unreachable (RFC 4443 §3.1).
  static let icmpv6Codes: [String: UInt8] = [
    "no-route": 0, "admin-prohibited": 1, "addr-unreachable": 3, "port-unreachable": 4, "policy-fail": 5,
    "reject-route": 6,
  ]

  /// What `reject with icmpx` says in either family: the codes of ICMP and of ICMPv6.
  static let icmpxCodes: [String: (icmp: UInt8, icmpv6: UInt8)] = [
    "no-route": (0, 0), "host-unreachable": (1, 3), "port-unreachable": (3, 4), "admin-prohibited": (13, 1),
  ]

  static let tcpFlags: [String: UInt8] = [
    "fin": 0x01, "syn": 0x02, "rst": 0x04, "psh": 0x08, "ack": 0x10, "urg": 0x20, "ecn": 0x40, "cwr": 0x80,
  ]

  /// Chain priorities by name (nft's own, for the families and hooks that there are).
  static let priorities: [String: Int] = [
    "raw": -300, "mangle": -150, "filter": 0, "security": 50,
  ]

  static let logLevels: Set<String> = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug"]
}
