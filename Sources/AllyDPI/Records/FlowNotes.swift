/// What rules noted about a flow, as records say it.
struct FlowNotes {
  var bits: [String] = []
  var integers: [(name: String, value: UInt32)] = []
  /// What groups of patterns captured, for the flow and for the packet in hand.
  var variables: [(name: String, text: [UInt8])] = []
  var packetVariables: [(name: String, text: [UInt8])] = []

  var isEmpty: Bool { bits.isEmpty && integers.isEmpty && variables.isEmpty && packetVariables.isEmpty }
}

extension EVEWriter {
  /// What every record of a flow may carry: `metadata`, `traffic`, `community_id`.
  mutating func commonOptions(_ flow: Flow) {
    if configuration.recordOptions.stateBits, let notes, !notes.isEmpty { write(notes) }
    if let seed = configuration.recordOptions.communityIDSeed {
      json.key("community_id")
      json.string { $0 += CommunityID.text(of: flow, seed: seed) }
    }
  }

  /// Bits named `traffic/id/…` and `traffic/label/…` are what the traffic is; the others are the rules' own.
  private mutating func write(_ notes: FlowNotes) {
    let groups = ["traffic/id/", "traffic/label/"]
    let traffic = groups.map { prefix in
      notes.bits.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
    }
    if traffic.contains(where: { !$0.isEmpty }) {
      json.key("traffic")
      json.beginObject()
      strings("id", traffic[0])
      strings("label", traffic[1])
      json.endObject()
    }
    json.key("metadata")
    json.beginObject()
    strings("flowbits", notes.bits.filter { bit in !groups.contains { bit.hasPrefix($0) } })
    if !notes.integers.isEmpty {
      json.key("flowints")
      json.beginObject()
      for (name, value) in notes.integers {
        json.key(name)
        json.number(value)
      }
      json.endObject()
    }
    texts("pktvars", notes.packetVariables)
    texts("flowvars", notes.variables)
    json.endObject()
  }

  private mutating func texts(_ key: StaticString, _ variables: [(name: String, text: [UInt8])]) {
    guard !variables.isEmpty else { return }
    json.key(key)
    json.beginArray()
    for (name, text) in variables {
      json.beginObject()
      json.key(name)
      json.text(text[...])
      json.endObject()
    }
    json.endArray()
  }

  private mutating func strings(_ key: StaticString, _ values: [String]) {
    guard !values.isEmpty else { return }
    json.key(key)
    json.beginArray()
    for value in values { json.string(value) }
    json.endArray()
  }
}
