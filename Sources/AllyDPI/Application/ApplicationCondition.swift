/// What a rule asks of a transaction beyond its buffers and numbers; a parser answers with
/// ``ApplicationTransaction/meets(_:from:at:)``.
enum ApplicationCondition: Sendable {
  case flags(ApplicationFlags, set: UInt32, clear: UInt32)
  case tlsVersion(TLSVersionMatch)
  case tlsState(TLSStateMatch)
  case certificateValidity(CertificateValidity)
  case modbus(ModbusMatch)
  case dnp3Object(group: UInt8, variation: UInt8)
  case cipService(CIPService)
  case http2Setting(UInt16, NumberMatch)
  case ikeAttribute(String, UInt32)
  case krb5TicketEncryption([Int32], isNegated: Bool)

  /// - Returns: nil for an option that is no such condition.
  init?(_ option: RuleOption) {
    switch option {
    case .applicationFlags(let flags, let set, let clear): self = .flags(flags, set: set, clear: clear)
    case .tlsVersion(let match): self = .tlsVersion(match)
    case .tlsState(let match): self = .tlsState(match)
    case .certificateValidity(let validity): self = .certificateValidity(validity)
    case .modbus(let match): self = .modbus(match)
    case .dnp3Object(let group, let variation): self = .dnp3Object(group: group, variation: variation)
    case .cipService(let service): self = .cipService(service)
    case .http2Setting(let setting, let match): self = .http2Setting(setting, match)
    case .ikeAttribute(let name, let value): self = .ikeAttribute(name, value)
    case .krb5TicketEncryption(let types, let isNegated): self = .krb5TicketEncryption(types, isNegated: isNegated)
    default: return nil
    }
  }
}
