/// What a client asks for.
enum PostgreSQLRequest {
  case encryption
  case cancel(process: UInt32, key: UInt32)
  case startup(major: UInt16, minor: UInt16, parameters: [(name: [UInt8], value: [UInt8])])
  case password([UInt8])
  case sasl(mechanism: [UInt8], response: [UInt8])
  case saslResponse([UInt8])
  case query([UInt8])
  case terminate
  case other(UInt8)

  /// - Parameters:
  ///   - type: the message's; of no meaning at the start.
  ///   - body: what follows its length.
  ///   - isStart: it begins a session.
  init?(_ type: UInt8, _ body: [UInt8], isStart: Bool) {
    var reader = ByteReader(body)
    if isStart {
      guard let code = reader.u32() else { return nil }
      switch code {
      case PostgreSQLMessage.encryption, PostgreSQLMessage.encryptionByGSS: self = .encryption
      case PostgreSQLMessage.cancel:
        guard let process = reader.u32(), let key = reader.u32() else { return nil }
        self = .cancel(process: process, key: key)
      default:
        self = .startup(
          major: UInt16(truncatingIfNeeded: code >> 16), minor: UInt16(truncatingIfNeeded: code),
          parameters: PostgreSQLRequest.parameters(reader.rest))
      }
      return
    }
    switch type {
    case UInt8(ascii: "p"): self = PostgreSQLRequest.authentication(body)
    case UInt8(ascii: "Q"): self = .query(PostgreSQLRequest.text(body[...]))
    case UInt8(ascii: "X"): self = .terminate
    default: self = .other(type)
    }
  }

  /// Names and values, each ended by a zero.
  private static func parameters(_ bytes: ArraySlice<UInt8>) -> [(name: [UInt8], value: [UInt8])] {
    let parts = bytes.split(separator: 0, omittingEmptySubsequences: false)
    var list: [(name: [UInt8], value: [UInt8])] = []
    var index = 0
    while index + 1 < parts.count, !parts[index].isEmpty, list.count < 64 {
      list.append((Array(parts[index]), Array(parts[index + 1])))
      index += 2
    }
    return list
  }

  /// A password ends with a zero; SASL begins with the mechanism's name and a length, and goes on with bare data.
  private static func authentication(_ body: [UInt8]) -> PostgreSQLRequest {
    if let end = body.firstIndex(of: 0), body.starts(with: "SCRAM-".utf8) {
      var reader = ByteReader(body[(end + 1)...])
      _ = reader.u32()
      return .sasl(mechanism: Array(body[..<end]), response: Array(reader.rest))
    }
    return body.last == 0 ? .password(text(body[...])) : .saslResponse(body)
  }

  /// Up to the zero that ends it.
  static func text(_ bytes: ArraySlice<UInt8>) -> [UInt8] { Array(bytes.prefix { $0 != 0 }) }
}

/// A request and what answers it.
final class PostgreSQLTransaction: ApplicationTransaction {
  /// What the server says about itself, or goes wrong.
  struct Answer {
    var isEncryptionAccepted: Bool?
    /// The kind of authentication that is asked for, or its success.
    var authentication: UInt32?
    var authenticationData: [UInt8] = []
    var parameters: [(name: [UInt8], value: [UInt8])] = []
    var process: (number: UInt32, key: UInt32)?
    var fieldCount: UInt16?
    var rows = 0
    var rowBytes = 0
    var completed: [UInt8]?
    /// An error's or a notice's fields, by their letters.
    var notices: [(letter: UInt8, value: [UInt8])] = []
  }

  let number: UInt64
  let request: PostgreSQLRequest
  private(set) var response = Answer()
  private(set) var isAnswered = false
  private var isClosedToClient = false
  var events: ApplicationEvents { ApplicationEvents() }
  let inspection = TransactionInspection()

  init(number: UInt64, _ request: PostgreSQLRequest) {
    self.number = number
    self.request = request
    switch request {
    // Nobody answers these.
    case .terminate, .cancel: isAnswered = true
    default: break
    }
  }

  /// It is made of several messages (the extended query protocol).
  var isExtended: Bool { if case .other = request { true } else { false } }

  func answerEncryption(isAccepted: Bool) {
    response.isEncryptionAccepted = isAccepted
    isAnswered = true
  }

  /// Takes a message of the server.
  func answer(_ type: UInt8, _ body: [UInt8]) {
    var reader = ByteReader(body)
    switch type {
    case UInt8(ascii: "R"):
      guard let kind = reader.u32() else { return }
      response.authentication = kind
      response.authenticationData = Array(reader.rest)
      // The client has to say more, unless all is well.
      if kind != 0 && kind != 12 { isAnswered = true }
    case UInt8(ascii: "S"):
      let parts = body.split(separator: 0, omittingEmptySubsequences: false)
      guard parts.count >= 2, response.parameters.count < 64 else { return }
      response.parameters.append((Array(parts[0]), Array(parts[1])))
    case UInt8(ascii: "K"):
      guard let number = reader.u32(), let key = reader.u32() else { return }
      response.process = (number, key)
    case UInt8(ascii: "T"): response.fieldCount = reader.u16()
    case UInt8(ascii: "D"):
      response.rows += 1
      guard let columns = reader.u16() else { return }
      for _ in 0..<columns {
        guard let length = reader.u32() else { return }
        // A length of all ones stands for no value.
        if length == .max { continue }
        response.rowBytes += Int(length)
        guard reader.skip(Int(length)) else { return }
      }
    case UInt8(ascii: "C"): response.completed = PostgreSQLRequest.text(body[...])
    case UInt8(ascii: "E"), UInt8(ascii: "N"):
      for field in body.split(separator: 0) where response.notices.count < 32 {
        guard let letter = field.first else { continue }
        response.notices.append((letter, Array(field.dropFirst())))
      }
      // An error before there is a session ends it.
      if type == UInt8(ascii: "E"), isAboutLogon { isAnswered = true }
    case UInt8(ascii: "Z"): isAnswered = true
    default: break
    }
  }

  private var isAboutLogon: Bool {
    switch request {
    case .startup, .password, .sasl, .saslResponse: true
    default: false
    }
  }

  func close(_ side: FlowSide) { if side == .toClient { isClosedToClient = true } }

  func stage(of side: FlowSide) -> UInt8 {
    side == .toServer || isAnswered || isClosedToClient ? TransactionStage.complete : TransactionStage.complete - 1
  }

  func bytes(of buffer: InspectionBuffer, from side: FlowSide, at index: Int) -> ArraySlice<UInt8>? { nil }
}
