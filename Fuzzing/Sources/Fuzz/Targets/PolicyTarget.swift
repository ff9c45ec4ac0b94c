internal import AllyFirewall
internal import AllyPacket

/// A firewall's policy: read, listed, read again from its listing, and tried on ``SampleTraffic``.
struct PolicyTarget: FuzzTarget {
  static let name = "policy"

  init() {}

  mutating func run(_ input: [UInt8]) {
    let policy: FirewallPolicy
    do throws(PolicyError) {
      policy = try FirewallPolicy(input, file: "fuzz.nft")
    } catch {
      let lines = input.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
      require(
        (1...lines.count).contains(error.line) && (1...lines[error.line - 1].count + 1).contains(error.column)
          && !error.expected.isEmpty && !error.found.isEmpty, "an error that stands nowhere: \(error)")
      return
    }
    let listing = policy.listing()
    do throws(PolicyError) {
      let again = try FirewallPolicy(listing, file: "listing").listing()
      require(again == listing, "the listing of a listing differs:\n\(listing)---\n\(again)")
    } catch {
      fatalError("a policy's listing cannot be read: \(error)\n\(listing)")
    }
    var firewall = FirewallInspector(policy: policy, configuration: SmallFirewall.configuration)
    SmallFirewall.inspect(SampleTraffic.frames, with: &firewall)
  }
}

/// A firewall small enough to make one for each input.
enum SmallFirewall {
  static let configuration = FirewallConfiguration(
    tracking: TrackingConfiguration(maximumConnections: 8, maximumDatagrams: 4, seed: 1), maximumLogEvents: 4)

  /// Every frame gets a verdict that is counted, and a reason when it is rejected.
  static func inspect(_ frames: [FrameList.Frame], with firewall: inout FirewallInspector) {
    var counts: [Verdict: UInt64] = [:]
    for frame in frames {
      let verdict = frame.withPacket { firewall.inspect($0) }
      counts[verdict, default: 0] += 1
      require(
        (firewall.rejection != nil) == (verdict == .reject), "\(verdict), and \(String(describing: firewall.rejection))"
      )
      while firewall.nextLogEvent() != nil {}
    }
    let statistics = firewall.statistics
    require(
      statistics.frames == UInt64(frames.count) && statistics.accepted == counts[.accept, default: 0]
        && statistics.dropped == counts[.drop, default: 0] && statistics.rejected == counts[.reject, default: 0]
        && statistics.connections <= UInt64(configuration.tracking.maximumConnections),
      "the counters do not add up: \(statistics)")
  }
}
