/// A message of BitTorrent's distributed hash table (BEP 5), read once.
struct BitTorrentMessage {
  struct Request {
    var identifier: ArraySlice<UInt8>
    var target: ArraySlice<UInt8>?
    var hash: ArraySlice<UInt8>?
    var token: ArraySlice<UInt8>?
    var impliesPort: UInt8?
    var port: UInt16?
  }

  struct Response {
    var identifier: ArraySlice<UInt8>
    /// Nodes with addresses of IPv4, 26 bytes each; whole ones only.
    var nodes: ArraySlice<UInt8> = []
    /// Of IPv6 (BEP 32), 38 bytes each.
    var nodes6: ArraySlice<UInt8> = []
    /// Addresses and ports of peers, 6 or 18 bytes each.
    var peers: [ArraySlice<UInt8>] = []
    var token: ArraySlice<UInt8>?
  }

  enum Content {
    case request(type: ArraySlice<UInt8>, Request)
    case response(Response)
    case error(number: UInt16, text: ArraySlice<UInt8>)
  }

  /// Nil when it is missing.
  var identifier: ArraySlice<UInt8>?
  var clientVersion: ArraySlice<UInt8>?
  var content: Content

  /// Nodes and peers of one message that are read.
  static var mostPeers: Int { 256 }

  /// Whether a message begins as one of the table does: with the arguments, the results, an address or an error.
  static func isLikely(_ bytes: ArraySlice<UInt8>) -> Bool {
    ["d1:ad", "d1:rd", "d2:ip", "d1:el"].contains { bytes.starts(with: $0.utf8) }
  }

  /// - Returns: nil when it is malformed.
  init?(_ bytes: ArraySlice<UInt8>) {
    var arguments: Request?
    var results: Response?
    var failure: (number: UInt16, text: ArraySlice<UInt8>)?
    var query: ArraySlice<UInt8>?
    var kind: ArraySlice<UInt8>?
    var identifier: ArraySlice<UInt8>?
    var clientVersion: ArraySlice<UInt8>?
    var reader = BencodeReader(bytes)
    let isSound = reader.dictionary { key, value in
      switch String(decoding: key, as: UTF8.self) {
      case "a":
        arguments = Request(&value)
        return arguments != nil
      case "r":
        results = Response(&value)
        return results != nil
      case "e":
        failure = BitTorrentMessage.failure(&value)
        return failure != nil
      case "q":
        query = value.text()
        return query != nil
      case "t":
        identifier = value.text()
        return identifier != nil
      case "y":
        kind = value.text()
        return kind != nil
      case "v":
        clientVersion = value.text()
        return clientVersion != nil
      default: return value.skipValue()
      }
    }
    guard isSound, let kind else { return nil }
    switch kind.first {
    case UInt8(ascii: "q") where kind.count == 1:
      guard let query, let arguments else { return nil }
      content = .request(type: query, arguments)
    case UInt8(ascii: "r") where kind.count == 1:
      guard let results else { return nil }
      content = .response(results)
    case UInt8(ascii: "e") where kind.count == 1:
      guard let failure else { return nil }
      content = .error(number: failure.number, text: failure.text)
    default: return nil
    }
    self.identifier = identifier
    self.clientVersion = clientVersion
  }

  private static func failure(_ value: inout BencodeReader) -> (number: UInt16, text: ArraySlice<UInt8>)? {
    var number: UInt16?
    var text: ArraySlice<UInt8>?
    let isSound = value.list { item in
      if number == nil {
        number = item.integer().flatMap { UInt16(exactly: $0) }
        return number != nil
      }
      if text == nil {
        text = item.text()
        return text != nil
      }
      return item.skipValue()
    }
    guard isSound, let number, let text else { return nil }
    return (number, text)
  }
}

extension BitTorrentMessage.Request {
  fileprivate init?(_ value: inout BencodeReader) {
    var request = Self(identifier: [])
    var hasIdentifier = false
    let isSound = value.dictionary { key, value in
      switch String(decoding: key, as: UTF8.self) {
      case "id":
        guard let text = value.text() else { return false }
        request.identifier = text
        hasIdentifier = true
      case "target":
        request.target = value.text()
        return request.target != nil
      case "info_hash":
        request.hash = value.text()
        return request.hash != nil
      case "token":
        request.token = value.text()
        return request.token != nil
      case "implied_port":
        request.impliesPort = value.integer().flatMap { UInt8(exactly: $0) }
        return request.impliesPort != nil
      case "port":
        request.port = value.integer().flatMap { UInt16(exactly: $0) }
        return request.port != nil
      default: return value.skipValue()
      }
      return true
    }
    guard isSound, hasIdentifier else { return nil }
    self = request
  }
}

extension BitTorrentMessage.Response {
  fileprivate init?(_ value: inout BencodeReader) {
    var response = Self(identifier: [])
    var hasIdentifier = false
    let isSound = value.dictionary { key, value in
      switch String(decoding: key, as: UTF8.self) {
      case "id":
        guard let text = value.text() else { return false }
        response.identifier = text
        hasIdentifier = true
      case "nodes":
        guard let text = value.text() else { return false }
        response.nodes = text
      case "nodes6":
        guard let text = value.text() else { return false }
        response.nodes6 = text
      case "values":
        return value.list { item in
          guard let peer = item.text(), peer.count == 6 || peer.count == 18 else { return false }
          if response.peers.count < BitTorrentMessage.mostPeers { response.peers.append(peer) }
          return true
        }
      case "token":
        response.token = value.text()
        return response.token != nil
      default: return value.skipValue()
      }
      return true
    }
    guard isSound, hasIdentifier else { return nil }
    self = response
  }
}
