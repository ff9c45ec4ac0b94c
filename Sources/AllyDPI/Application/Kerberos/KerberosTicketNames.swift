/// Whom a ticket is for, as a logon carries it: an AP-REQ of Kerberos (RFC 4120 §5.5.1) in GSS-API (RFC 4121 §4.1), in SPNEGO
/// (RFC 4178 §4.2.1) or not.
struct KerberosTicketNames {
  var realm: [UInt8]
  /// The parts of the server's name.
  var serverNames: [[UInt8]]

  /// The mechanism's identifier, 1.2.840.113554.1.2.2, and that of an AP-REQ.
  private static let mechanism: [UInt8] = [
    0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x12, 0x01, 0x02, 0x02, 0x01, 0x00,
  ]

  /// - Returns: nil when there is none.
  init?(in blob: ArraySlice<UInt8>) {
    let mechanism = KerberosTicketNames.mechanism
    var start = blob.startIndex
    while start + mechanism.count <= blob.endIndex, !blob[start..<(start + mechanism.count)].elementsEqual(mechanism) {
      start += 1
    }
    guard start + mechanism.count < blob.endIndex else { return nil }
    var token = DERReader(blob[(start + mechanism.count)...])
    guard var application = token.enter(DERTag.application(14)), var request = application.enter(DERTag.sequence) else {
      return nil
    }
    while let field = request.next() {
      guard field.tag == DERTag.context(3) else { continue }
      var wrapper = DERReader(field.content)
      guard var ticket = wrapper.enter(DERTag.application(1)), let names = KerberosTicketNames(ticket: &ticket) else {
        return nil
      }
      self = names
      return
    }
    return nil
  }

  private init?(ticket: inout DERReader) {
    guard var fields = ticket.enter(DERTag.sequence) else { return nil }
    realm = []
    serverNames = []
    while let field = fields.next() {
      var content = DERReader(field.content)
      switch field.tag {
      case DERTag.context(1): realm = content.next().map { Array($0.content) } ?? []
      case DERTag.context(2):
        guard var name = content.enter(DERTag.sequence) else { return nil }
        while let part = name.next() {
          guard part.tag == DERTag.context(1) else { continue }
          var list = DERReader(part.content)
          guard var strings = list.enter(DERTag.sequence) else { return nil }
          while serverNames.count < 16, let string = strings.next() { serverNames.append(Array(string.content)) }
        }
      default: break
      }
    }
  }
}
