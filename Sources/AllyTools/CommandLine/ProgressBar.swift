/// How far a long reading has come, in one line that is drawn over and over on a terminal.
struct ProgressBar {
  private let totalBytes: UInt64
  private let start = ContinuousClock.now
  private var nextDrawing: ContinuousClock.Instant
  private var isDrawn = false
  private static let width = 32

  init(totalBytes: UInt64) {
    self.totalBytes = totalBytes
    // A capture that is read within this time needs no bar.
    nextDrawing = start + .milliseconds(500)
  }

  /// Draws the bar when it is due, at most ten times a second.
  mutating func show(bytes: UInt64, frames: UInt64) {
    let now = ContinuousClock.now
    guard now >= nextDrawing else { return }
    nextDrawing = now + .milliseconds(100)
    isDrawn = true
    let share = totalBytes == 0 ? 1 : min(1, Double(bytes) / Double(totalBytes))
    let filled = Int(share * Double(Self.width))
    let bar = String(repeating: "=", count: filled) + String(repeating: " ", count: Self.width - filled)
    let percent = NumberText.padded(String(Int(share * 100)), to: 3)
    draw("\r[\(bar)] \(percent)%  \(NumberText.grouped(frames)) frames")
  }

  /// Takes the bar off the terminal, so that what follows begins on a clean line.
  mutating func clear() {
    guard isDrawn else { return }
    isDrawn = false
    draw("\r\u{1B}[K")
  }

  private func draw(_ text: String) { _ = Console.write(text, to: 2) }
}
