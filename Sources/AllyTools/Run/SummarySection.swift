/// A part of the summary that a command prints: a heading, and lines of a number and what it counts.
public struct SummarySection: Sendable {
  public var title: String
  public var lines: [Line]

  public init(_ title: String, _ lines: [Line] = []) {
    self.title = title
    self.lines = lines
  }

  public struct Line: Sendable {
    public var label: String
    public var number: String

    /// A count, with a comma every three digits.
    public init(_ label: String, _ count: UInt64) {
      self.label = label
      number = NumberText.grouped(count)
    }

    /// A measure, with three digits behind the point.
    public init(_ label: String, measure: Double) {
      self.label = label
      number = NumberText.decimal(measure)
    }

    /// Text in the place of the number.
    public init(_ label: String, text: String) {
      self.label = label
      number = text
    }
  }

  /// Sections as text: numbers right-aligned in one column, labels behind them.
  public static func text(_ sections: [SummarySection]) -> String {
    let width = sections.flatMap(\.lines).map(\.number.count).max() ?? 0
    return sections.map { section in
      ([section.title] + section.lines.map { "  \(NumberText.padded($0.number, to: width))  \($0.label)" })
        .joined(separator: "\n")
    }.joined(separator: "\n\n")
  }
}

extension RunSummary {
  /// The summary's sections, in the order in which they are read: traffic, verdicts, and the machine's counters when
  /// frames went through it.
  public var sections: [SummarySection] {
    var sections = [
      SummarySection(
        "Traffic",
        [
          .init("frames", counts.frames), .init("bytes", counts.bytes), .init("seconds", measure: seconds),
          .init("Gbit/s", measure: gigabitsPerSecond),
        ]),
      SummarySection(
        "Verdicts",
        [.init("accepted", counts.accepted), .init("dropped", counts.dropped), .init("rejected", counts.rejected)]
          + (counts.segments > 0 ? [.init("frames on the wire of those accepted", counts.segments)] : [])),
    ]
    sections += interfaces.map {
      SummarySection(
        "Interface \($0.name)",
        [.init("frames that passed it", $0.passed), .init("of them lost, the ring being full", $0.lost)]
          + ($0.cut > 0 ? [.init("of them cut (--snaplen)", $0.cut)] : []))
    }
    if let survival {
      let lines: [(String, UInt64)] = [
        ("workers that died and were replaced", survival.deaths),
        ("of them ended because they stood still", survival.stalls),
        ("frames not inspected, workers having died of them", survival.setAside),
        ("frames lost with a worker", survival.lost), ("upgrades", survival.upgrades),
      ]
      sections.append(
        SummarySection("Survival", lines.enumerated().filter { $0 == 0 || $1.1 > 0 }.map { .init($1.0, $1.1) }))
    }
    if let interception { sections += interception.sections(delivered: delivered) }
    if let inspectorProcess { sections.append(inspectorProcess.section) }
    return sections
  }
}

extension InspectorUse {
  fileprivate var section: SummarySection {
    func perFrame(_ count: UInt64) -> Double { frames > 0 ? Double(count) / Double(frames) : 0 }
    var lines: [SummarySection.Line] = [
      .init("frames inspected there", frames), .init("batches of them", batches),
      .init("wake-ups of the inspector for each frame", measure: perFrame(inspectorWakeUps)),
      .init("wake-ups of the interceptor for each frame", measure: perFrame(interceptorWakeUps)),
      .init("copies for the inspector for each frame", measure: perFrame(copies)),
      .init("frames without an inspector", undecided), .init("inspectors started again", restarts),
    ]
    lines += faults.filter { $0.count > 0 }.map { .init($0.name, $0.count) }
    return SummarySection("Inspector's process", lines)
  }
}

extension InterceptionSummary {
  fileprivate func sections(delivered: UInt64) -> [SummarySection] {
    var result = [
      SummarySection(
        "Interception",
        [
          .init("frames delivered to the OS driver", delivered),
          .init("MMIO redirections", mmioRedirections),
          .init("interprocessor interrupts", interprocessorInterrupts),
          .init("interrupts from the NIC", nicInterrupts),
          .init("interrupts to the OS", osInterrupts),
          .init("register accesses of the DPI core", nicAccesses),
          .init("bytes that it moved", movedBytes),
        ])
    ]
    if answers > 0 { result[0].lines.append(.init("frames of the appliance's own", answers)) }
    if !rings.isEmpty {
      result.append(
        SummarySection(
          "Ring high-water marks (descriptors)",
          rings.map { .init("\($0.name), of \(NumberText.grouped($0.size))", $0.highWater) }))
    }
    for wire in wires {
      var lines: [SummarySection.Line] = [
        .init("frames from there to the guest's NIC", wire.received), .init("frames from it to there", wire.sent),
      ]
      if wire.refused > 0 { lines.append(.init("frames that were not taken there", wire.refused)) }
      if wire.expired > 0 { lines.append(.init("frames that waited too long for the guest", wire.expired)) }
      result.append(SummarySection("Uplink \(wire.name)", lines))
    }
    let counted = faults.filter { $0.count > 0 }
    if !counted.isEmpty {
      result.append(SummarySection("Faults", counted.map { .init($0.name, $0.count) }))
    }
    return result
  }
}
