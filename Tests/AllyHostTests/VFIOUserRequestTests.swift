import Glibc
import Testing

@testable import AllyHost

/// Bytes of the protocol, little-endian.
func bytes(_ words: UInt32...) -> [UInt8] {
  var bytes: [UInt8] = []
  for word in words { bytes.append(littleEndian: word) }
  return bytes
}

@Suite struct VFIOUserRequestTests {
  private func request(_ command: UInt16, _ payload: [UInt8]) throws(VFIOUserRefusal) -> VFIOUserRequest {
    try VFIOUserRequest(command: command, payload: payload[...])
  }

  @Test func memoryIsMapped() throws {
    #expect(
      try request(2, bytes(32, 3, 0x1000, 0, 0x8000_0000, 1, 0x20_0000, 0))
        == .mapDMA(
          address: 0x1_8000_0000, length: 0x20_0000, offset: 0x1000, isReadable: true, isWritable: true))
  }

  @Test func allMemoryIsUnmapped() throws {
    let payload = bytes(24, 2, 0, 0, 0, 0)
    #expect(try request(3, payload) == .unmapDMA(address: 0, length: nil, reply: payload))
  }

  @Test func aWriteHasAsManyBytesAsItSays() throws {
    #expect(
      try request(10, bytes(0x3818, 0, 0, 4, 7)) == .write(VFIOUserWrite(region: 0, offset: 0x3818, count: 4, value: 7))
    )
    for count in [0, 3, 5, 9, UInt32.max] {
      #expect(throws: VFIOUserRefusal(EINVAL)) { try request(10, bytes(0x3818, 0, 0, count, 7)) }
    }
  }

  @Test func severalWritesInOneMessage() throws {
    let payload = bytes(2, 0, 0x10, 0, 0, 4, 1, 0xFFFF_FFFF, 0x20, 0, 1, 8, 2, 3)
    #expect(
      try request(15, payload)
        == .writeMultiple([
          VFIOUserWrite(region: 0, offset: 0x10, count: 4, value: 1),
          VFIOUserWrite(region: 1, offset: 0x20, count: 8, value: 0x3_0000_0002),
        ]))
    // A count that its bytes do not bear out.
    #expect(throws: VFIOUserRefusal(EINVAL)) { try request(15, [0xFF] + payload.dropFirst()) }
  }

  @Test func interruptsAreAssignedMaskedAndTakenAway() throws {
    let cases: [(UInt32, UInt32, VFIOUserInterruptSetting.Action)] = [
      (0x24, 2, .assign), (0x21, 0, .disable), (0x21, 1, .trigger), (0x11, 1, .unmask), (0x09, 1, .mask),
    ]
    for (flags, count, action) in cases {
      guard case .setInterrupts(let setting) = try request(8, bytes(20, flags, 2, 0, count)) else {
        Issue.record("\(flags) is no setting")
        continue
      }
      #expect(setting.action == action && setting.index == 2 && setting.selected.count == count)
    }
    #expect(throws: VFIOUserRefusal(EINVAL)) { try request(8, bytes(20, 0x3F, 2, 0, 1)) }
    #expect(throws: VFIOUserRefusal(EINVAL)) { try request(8, bytes(20, 0x24, 2, 0, .max)) }
  }

  @Test func migrationIsRefusedWithAReason() {
    let refusal = #expect(throws: VFIOUserRefusal.self) { try request(16, bytes(16, 0)) }
    #expect(refusal?.code == ENOTSUP)
    #expect(refusal?.reason?.contains("migration") == true)
  }

  @Test(arguments: Array(UInt16(0)...20))
  func nothingIsReadBeyondTheEnd(command: UInt16) {
    let payload = [UInt8](repeating: 0xA5, count: 80)
    for length in 0...payload.count { _ = try? request(command, Array(payload[..<length])) }
  }
}

@Suite struct VFIOUserVersionTests {
  private func version(_ text: String) throws(VFIOUserRefusal) -> VFIOUserVersion {
    try VFIOUserVersion(([0, 0, 0, 0] + Array(text.utf8) + [0])[...])
  }

  @Test func capabilitiesAreRead() throws {
    // As QEMU 11.1 sends them.
    let text =
      #"{"capabilities":{"pgsizes":4096,"max_msg_fds":16,"max_dma_maps":65535,"max_data_xfer_size":1048576,"#
      + #""migration":{"max_bitmap_size":268435456,"pgsize":4096},"write_multiple":true}}"#
    #expect(try version(text).writesMultiple)
    #expect(try !version(#"{"write_multiple": true, "capabilities": {"x": [1, {}, "a\"}"]}}"#).writesMultiple)
    #expect(try !version("").writesMultiple)
  }

  @Test(arguments: ["{", "[]", "{}{}", #"{"a":}"#, #"{"a" 1}"#, #"{"a":"x\"#, String(repeating: #"{"a":"#, count: 99)])
  func whatIsNoObjectIsRefused(text: String) { #expect(throws: VFIOUserRefusal.self) { try version(text) } }

  @Test func anotherVersionIsRefused() {
    #expect(throws: VFIOUserRefusal.self) { try VFIOUserVersion([1, 0, 0, 0, 0]) }
  }

  @Test func theReplyOffersWhatBothHave() throws {
    let reply = try version(#"{"capabilities":{"write_multiple":true}}"#).reply(maximumMaps: 7)
    let text = String(decoding: reply.dropFirst(4).dropLast(), as: UTF8.self)
    #expect(reply.last == 0 && text.contains(#""write_multiple":true"#) && text.contains(#""max_dma_maps":7"#))
    #expect(try !String(decoding: version("{}").reply(maximumMaps: 7), as: UTF8.self).contains("write_multiple"))
  }
}
