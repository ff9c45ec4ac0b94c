public import AllyRings

/// Queues as a line of text.
public enum RingDiagram {
  /// Slots from 0 on: `.` empty, `P` posted. Head and tail follow.
  public static func slots(of queue: DescriptorQueue, name: String) -> String {
    var text = name
    for slot in 0..<queue.count {
      let isPosted = queue.distance(from: queue.head, to: slot) < queue.outstanding
      text += isPosted ? " P" : " ."
    }
    return text + "  h\(queue.head) t\(queue.tail)"
  }

  /// What both directions of a queue pair counted: all that a virtualizer without descriptor rings has.
  static func words(_ counters: QueuePairCounters) -> String {
    func line(_ name: String, _ counters: QueueCounters) -> String {
      "  \(name): \(counters.accepted) accepted, \(counters.dropped) dropped, \(counters.faulted) faulted, "
        + "\(counters.faults.total) faults"
    }
    return line("receive", counters.receive) + "\n" + line("transmit", counters.transmit)
  }
}
