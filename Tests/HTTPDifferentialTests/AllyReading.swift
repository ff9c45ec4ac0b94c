import AllyPacket

@testable import AllyDPI

extension HTTPReading {
  /// A conversation as AllyDPI reads it.
  init(byAlly conversation: Conversation) {
    let parser = HTTPParser(limits: ApplicationLimits(), transport: IPProtocolNumber.tcp)
    for utterance in conversation {
      let side: FlowSide = utterance.speaker == .client ? .toServer : .toClient
      if utterance.isMissing {
        parser.skip(utterance.bytes.count, from: side)
      } else {
        // The bytes live as long as the call.
        unsafe parser.receive(utterance.bytes.span.bytes, from: side)
      }
    }
    parser.close(.toServer)
    parser.close(.toClient)
    transactions = parser.transactions.map { transaction in
      let (request, response) = (transaction.request, transaction.response)
      return Transaction(
        method: request.method, target: request.target, path: Array(request.uri.normalizedPath),
        requestFields: Self.fields(request.fields), requestBody: request.body.bytes,
        status: Int(response.statusNumber), message: response.message,
        responseFields: Self.fields(response.fields), responseBody: response.body.bytes)
    }
  }

  private static func fields(_ fields: HTTPHeaderFields) -> [Field] {
    (0..<fields.count).map { Field(name: Array(fields.name($0)), value: Array(fields.value($0))) }
  }
}
