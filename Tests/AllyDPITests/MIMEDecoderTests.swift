import Foundation
import Testing

@testable import AllyDPI

/// Transfer encodings, against Foundation's own.
@Suite struct MIMEDecoderTests {
  private static func decode(_ lines: [String]) -> (bytes: [UInt8], events: MIMEEvents) {
    var decoder = MIMEDecoder(encoding: Array("base64".utf8)[...], ApplicationOptions.SMTP())
    var events = MIMEEvents()
    var bytes: [UInt8] = []
    for line in lines {
      let text = Array(line.utf8)
      decoder.decode(
        LineReader.Line(bytes: text.rawBytes, endLength: 2, isCut: false, isContinuation: false), events: &events
      ) { bytes += $0.array }
    }
    decoder.finish(events: &events)
    return (bytes, events)
  }

  @Test func linesMayBreakAnywhereInBase64() {
    var random = SeededGenerator(seed: 1)
    for count in 0..<300 {
      let bytes = (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &random) }
      var rest = Substring(Data(bytes).base64EncodedString())
      var lines: [String] = []
      while !rest.isEmpty {
        let length = Int.random(in: 1...76, using: &random)
        lines.append(String(rest.prefix(length)))
        // White space counts for nothing.
        if length % 5 == 0 { lines[lines.count - 1].insert(" ", at: lines[lines.count - 1].startIndex) }
        rest = rest.dropFirst(length)
      }
      let found = Self.decode(lines)
      #expect(found.bytes == bytes)
      #expect(found.events.isDisjoint(with: .invalidBase64))
    }
  }

  @Test(arguments: ["QUJD\u{7F}", "QUJDQ?==", "QUJDQUJ\u{0}", "QUJDé"])
  func whatIsNoDigitEndsIt(line: String) {
    let found = Self.decode([line, "QUJD"])
    #expect(found.bytes.starts(with: Array("ABC".utf8)) && found.bytes.count == 3)
    #expect(found.events.contains(.invalidBase64))
  }
}
