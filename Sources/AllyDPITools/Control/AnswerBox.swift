internal import Foundation

/// An answer that one thread waits for and another gives.
final class AnswerBox<Answer: Sendable>: @unchecked Sendable {
  // Only touched while the condition is locked.
  private var answer: Answer?
  private let condition = NSCondition()

  func put(_ answer: Answer) {
    condition.lock()
    defer { condition.unlock() }
    self.answer = answer
    condition.signal()
  }

  func wait(milliseconds: Int) -> Answer? {
    let end = Date(timeIntervalSinceNow: Double(milliseconds) / 1000)
    condition.lock()
    defer { condition.unlock() }
    while answer == nil, condition.wait(until: end) {}
    return answer
  }
}
