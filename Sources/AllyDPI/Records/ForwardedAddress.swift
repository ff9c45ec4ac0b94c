internal import AllyPacket

/// The address that a proxy says it speaks for (`xff`).
enum ForwardedAddress {
  /// What a transaction's request says; nil without a valid address.
  static func text(of transaction: any ApplicationTransaction, _ options: RecordOptions.ForwardedFor) -> [UInt8]? {
    let name = options.header.utf8.map(LiteralSearch.lowercase)
    var index = 0
    while let line = transaction.bytes(of: .httpRequestHeader, from: .toServer, at: index) {
      index += 1
      guard line.count > name.count, line[line.startIndex + name.count] == UInt8(ascii: ":"),
        line.prefix(name.count).elementsEqual(name, by: { LiteralSearch.lowercase($0) == $1 })
      else { continue }
      let chain = line.dropFirst(name.count + 1).split(separator: UInt8(ascii: ","))
      guard let address = (options.isForward ? chain.first : chain.last)?.trimmed else { return nil }
      return IPAddressText.address(address) == nil ? nil : Array(address)
    }
    return nil
  }
}
