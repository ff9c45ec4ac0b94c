/// Which of a conversation's transactions may have changed: those near the end, where requests are added, and those near the
/// front, where answers come in. What lies between only waits, and costs nothing.
struct TransactionNumbers: BitwiseCopyable {
  /// A run of numbers, both ends included.
  struct Run: BitwiseCopyable {
    var first: UInt64
    var last: UInt64

    static var none: Run { Run(first: .max, last: 0) }
    var isEmpty: Bool { first > last }

    mutating func insert(_ number: UInt64) {
      first = min(first, number)
      last = max(last, number)
    }

    mutating func formUnion(_ other: Run) {
      first = min(first, other.first)
      last = max(last, other.last)
    }
  }

  private(set) var front: Run
  private(set) var back: Run

  static var none: TransactionNumbers { TransactionNumbers(front: .none, back: .none) }
  static var all: TransactionNumbers { TransactionNumbers(front: Run(first: 0, last: .max), back: .none) }

  mutating func insertAtFront(_ number: UInt64) { front.insert(number) }
  mutating func insertAtBack(_ number: UInt64) { back.insert(number) }

  mutating func formUnion(_ other: TransactionNumbers) {
    front.formUnion(other.front)
    back.formUnion(other.back)
  }

  /// Both runs, in order and without overlap.
  var runs: (Run, Run) {
    if front.isEmpty || back.isEmpty { return (front.isEmpty ? back : front, .none) }
    if back.first > front.last { return (front, back) }
    if front.first > back.last { return (back, front) }
    return (Run(first: min(front.first, back.first), last: max(front.last, back.last)), .none)
  }
}

extension ApplicationParser {
  /// Where the transactions from a number on begin: they lie in the order of their numbers, most of which follow one another.
  func place(of number: UInt64) -> Int {
    let count = transactionCount
    if count == 0 { return 0 }
    let first = transaction(at: 0).number
    if number <= first { return 0 }
    var place = Int(clamping: min(UInt64(count), number - first))
    while place > 0, transaction(at: place - 1).number >= number { place -= 1 }
    return place
  }
}
