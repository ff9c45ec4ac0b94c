internal import AllyPacket

/// A call or a reply of Sun's remote procedure calls (RFC 5531 §9), without its record mark.
enum RPCMessage {
  /// RFC 5531 §9: `CALL`, `REPLY`.
  static var call: UInt32 { 0 }
  static var reply: UInt32 { 1 }

  /// The longest credentials and verifiers (RFC 5531 §8.2 allows 400 bytes; others have seen more).
  fileprivate static var longestCredentials: Int { 16 << 10 }
}

/// What stands in front of a call's arguments.
struct RPCCall {
  /// Who calls, where the call says so in the clear (`AUTH_SYS`, RFC 5531 §A).
  struct Caller {
    var machine: ArraySlice<UInt8>
    var user: UInt32
    var group: UInt32
  }

  /// `RPCSEC_GSS` (RFC 2203 §5.3.1).
  struct Security {
    var procedure: UInt32
    var service: UInt32
  }

  var identifier: UInt32
  var rpcVersion: UInt32
  var program: UInt32
  var version: UInt32
  var procedure: UInt32
  /// The flavor of the credentials.
  var flavor: UInt32
  var caller: Caller?
  var security: Security?
  var arguments: ArraySlice<UInt8>

  /// - Returns: nil for what is no call, or one whose head is not all there.
  init?(_ message: ArraySlice<UInt8>) {
    var reader = ByteReader(message)
    guard let identifier = reader.u32(), reader.u32() == RPCMessage.call, let rpcVersion = reader.u32(),
      let program = reader.u32(), let version = reader.u32(), let procedure = reader.u32(), let flavor = reader.u32(),
      let credentials = reader.opaque(atMost: RPCMessage.longestCredentials), reader.u32() != nil,
      reader.opaque(atMost: RPCMessage.longestCredentials) != nil
    else { return nil }
    self.identifier = identifier
    self.rpcVersion = rpcVersion
    self.program = program
    self.version = version
    self.procedure = procedure
    self.flavor = flavor
    arguments = reader.rest
    var fields = ByteReader(credentials)
    switch flavor {
    case RPCFlavor.unix:
      // Padding behind the name is not passed over, as in Suricata, with whose records these are compared (Docs/ADR/0009).
      guard fields.skip(4), let length = fields.u32(), let machine = fields.take(Int(length)),
        let user = fields.u32(), let group = fields.u32()
      else { return nil }
      caller = Caller(machine: machine, user: user, group: group)
    case RPCFlavor.security:
      guard fields.skip(4), let procedure = fields.u32(), fields.skip(4), let service = fields.u32() else {
        return nil
      }
      security = Security(procedure: procedure, service: service)
    default: break
    }
  }
}

/// What stands in front of a reply's results.
struct RPCReply {
  var identifier: UInt32
  /// 0 when the call was accepted, 1 when it was denied.
  var state: UInt32
  var results: ArraySlice<UInt8>

  /// - Returns: nil for what is no reply, or one whose head is not all there.
  init?(_ message: ArraySlice<UInt8>) {
    var reader = ByteReader(message)
    guard let identifier = reader.u32(), reader.u32() == RPCMessage.reply, let state = reader.u32(), state <= 1,
      reader.u32() != nil, reader.opaque(atMost: RPCMessage.longestCredentials) != nil, reader.u32() != nil
    else { return nil }
    self.identifier = identifier
    self.state = state
    results = reader.rest
  }
}

/// Flavors of authentication (RFC 5531 §8.2, IANA's registry).
enum RPCFlavor {
  static var unix: UInt32 { 1 }
  static var security: UInt32 { 6 }

  static func name(_ flavor: UInt32) -> String {
    switch flavor {
    case 0: "NULL"
    case unix: "UNIX"
    case 2: "SHORT"
    case 3: "DES"
    case 4: "KERB"
    case 5: "RSA"
    case security: "GSS"
    default: "\(flavor)"
    }
  }
}

/// Values of XDR (RFC 4506).
extension ByteReader {
  /// Bytes behind their length, padded to four (RFC 4506 §4.10).
  mutating func opaque(atMost limit: Int = .max) -> ArraySlice<UInt8>? {
    var copy = self
    guard let length = copy.u32(), length <= limit, let bytes = copy.take(Int(length)),
      copy.skip(Int(length).xdrPadding)
    else { return nil }
    self = copy
    return bytes
  }

  /// Numbers of four bytes behind their count.
  mutating func skipWords() -> Bool {
    guard let count = u32() else { return false }
    return skip(Int(count) * 4)
  }
}

extension Int {
  /// Bytes from here to the next multiple of four.
  var xdrPadding: Int { (4 - self % 4) % 4 }
}
