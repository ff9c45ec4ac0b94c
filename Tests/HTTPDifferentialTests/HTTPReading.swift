/// What a reader of HTTP made of a conversation: what rules and records are about, in one form for both readers.
struct HTTPReading: Equatable {
  struct Field: Equatable {
    var name: [UInt8]
    var value: [UInt8]
  }

  struct Transaction: Equatable {
    var method: [UInt8] = []
    var target: [UInt8] = []
    /// The path, decoded and normalised.
    var path: [UInt8] = []
    var requestFields: [Field] = []
    var requestBody: [UInt8] = []
    var status: Int = 0
    var message: [UInt8] = []
    var responseFields: [Field] = []
    /// Without chunk lengths and content encodings.
    var responseBody: [UInt8] = []
  }

  var transactions: [Transaction] = []
}

extension HTTPReading.Transaction: CustomStringConvertible {
  var description: String {
    func text(_ bytes: [UInt8]) -> String {
      bytes.map { (0x20..<0x7F).contains($0) ? String(UnicodeScalar($0)) : "\\x" + String($0, radix: 16) }.joined()
    }
    func fields(_ fields: [HTTPReading.Field]) -> String {
      fields.map { text($0.name) + "=" + text($0.value) }.joined(separator: "|")
    }
    return """
      \(text(method)) \(text(target)) path \(text(path)) [\(fields(requestFields))] body(\(requestBody.count)) \
      \(text(requestBody)) -> \(status) \(text(message)) [\(fields(responseFields))] body(\(responseBody.count)) \
      \(text(responseBody))
      """
  }
}

/// Which side speaks.
enum Speaker { case client, server }

/// What a side says at once.
struct Utterance {
  var speaker: Speaker
  var bytes: [UInt8]
  /// A reader learns how many bytes there were, and not which.
  var isMissing = false
}

/// Who says what, one after the other.
typealias Conversation = [Utterance]
