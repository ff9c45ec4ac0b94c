/// The parsers that the engine has. A new protocol is one more line.
enum ApplicationParsers {
  static let all: [any ApplicationParser.Type] = [HTTPParser.self]

  /// No protocol.
  static var none: UInt8 { .max }

  /// A protocol's place in ``all``; ``none`` when there is no parser for it.
  static func index(of application: ApplicationProtocol) -> UInt8 {
    all.firstIndex { $0.applicationProtocol == application }.map { UInt8($0) } ?? none
  }
}
