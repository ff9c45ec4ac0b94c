/// Texts that patterns captured and flows keep for rules and records, under the numbers of their names: bounded, the oldest flows
/// give way.
struct FlowVariables {
  private static var mostFlows: Int { 4096 }
  private static var mostTexts: Int { 16 }

  private var flows = BoundedMap<UInt64, [(name: UInt32, text: [UInt8])]>(capacity: mostFlows)

  /// Keeps texts; a later one of the same name takes the place of an earlier one.
  mutating func note(_ captured: [(name: UInt32, text: [UInt8])], for flow: UInt64) {
    var texts = flows[flow] ?? []
    for (name, text) in captured {
      if let index = texts.firstIndex(where: { $0.name == name }) {
        texts[index].text = text
      } else if texts.count < FlowVariables.mostTexts {
        texts.append((name, text))
      }
    }
    flows[flow] = texts
  }

  func noted(for flow: UInt64) -> [(name: UInt32, text: [UInt8])] { flows[flow] ?? [] }
}

/// What a group of a pattern captured.
struct CapturedText {
  var scope: PatternMatch.Capture.Scope
  /// Of ``DetectionProgram/variableNames``.
  var name: UInt32
  var text: [UInt8]
}

/// ``VariableMatch``, flat.
struct VariableTest: BitwiseCopyable, Sendable {
  var scope: PatternMatch.Capture.Scope
  var name: UInt32
  /// Into the program's literal bytes.
  var text: TableRange
}
