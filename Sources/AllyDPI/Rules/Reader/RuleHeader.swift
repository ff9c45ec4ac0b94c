/// The part of a rule in front of its options.
struct RuleHeader {
  var action: RuleAction
  var ruleProtocol: RuleProtocol
  /// When the protocol is an application's.
  var applicationProtocols: ApplicationProtocolSet?
  /// For messages.
  var protocolText: RuleSlice
  var source: AddressList
  var sourcePorts: PortList
  var direction: RuleDirection
  var destination: AddressList
  var destinationPorts: PortList

  init(_ text: RuleSlice, variables: RuleVariables) throws(RuleSyntaxError) {
    var fields = Fields(rest: text)
    action = try Self.action(fields.next("an action such as 'alert'"))
    protocolText = try fields.next("a protocol such as 'tcp'")
    (ruleProtocol, applicationProtocols) = try Self.ruleProtocol(protocolText)
    // Snort's short header: addresses and ports are whatever they are.
    if fields.rest.trimmed.isEmpty, applicationProtocols != nil {
      (source, destination, sourcePorts, destinationPorts, direction) = (.any, .any, .any, .any, .forward)
      return
    }
    let addresses = AddressReader(variables: variables)
    let ports = PortReader(variables: variables)
    source = try addresses.read(fields.next("source addresses"))
    sourcePorts = try ports.read(fields.next("source ports"))
    direction = try Self.direction(fields.next("'->' or '<>'"))
    destination = try addresses.read(fields.next("destination addresses"))
    destinationPorts = try ports.read(fields.next("destination ports"))
    let rest = fields.rest.trimmed
    guard rest.isEmpty else { throw rest.expected("'(' behind the destination ports") }
  }

  private static func action(_ field: RuleSlice) throws(RuleSyntaxError) -> RuleAction {
    let name = field.lowercased
    if let action = RuleAction(rawValue: name) { return action }
    // Actions of the two dialects that ask for something else than a verdict.
    switch name {
    case "log", "activate", "dynamic", "sdrop", "block", "rewrite", "react", "file_id":
      throw field.unsupported("the action '\(name)' is not supported")
    default:
      throw field.expected("an action (\(RuleAction.allCases.map(\.rawValue).joined(separator: ", ")))")
    }
  }

  /// An application's protocol stands for the transports that carry it.
  private static func ruleProtocol(
    _ field: RuleSlice
  ) throws(RuleSyntaxError) -> (RuleProtocol, ApplicationProtocolSet?) {
    let name = field.lowercased
    switch name {
    case "ipv4": return (.ip4, nil)
    case "ipv6": return (.ip6, nil)
    default: break
    }
    if let known = RuleProtocol(rawValue: name) { return (known, nil) }
    guard let protocols = ApplicationProtocolSet(named: name) else {
      throw field.unsupported("the protocol \(field.quoted) is not supported")
    }
    let transports = protocols.transports
    return (transports.tcp && transports.udp ? .ip : transports.tcp ? .tcp : .udp, protocols)
  }

  private static func direction(_ field: RuleSlice) throws(RuleSyntaxError) -> RuleDirection {
    switch field.string {
    case "->": return .forward
    case "<>": return .both
    default: throw field.expected("'->' or '<>'")
    }
  }

  /// The fields between white space; a list in brackets is one field, white space in it or not.
  private struct Fields {
    var rest: RuleSlice

    mutating func next(_ what: String) throws(RuleSyntaxError) -> RuleSlice {
      rest.skipSpaces()
      let bytes = rest.text.bytes
      var depth = 0
      var end = rest.range.lowerBound
      while end < rest.range.upperBound, depth > 0 || !bytes[end].isSpace {
        if bytes[end] == UInt8(ascii: "[") { depth += 1 }
        if bytes[end] == UInt8(ascii: "]") { depth -= 1 }
        end += 1
      }
      let field = rest.slice(rest.range.lowerBound..<end)
      guard !field.isEmpty else { throw field.expected(what) }
      guard depth <= 0 else { throw field.error("expected ']' to close the list \(field.quoted)") }
      rest.range = end..<rest.range.upperBound
      return field
    }
  }
}
