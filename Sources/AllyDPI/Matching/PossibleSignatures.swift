/// Those signatures of a list that are possible between the ends of a packet and in its application. The packets of a conversation have
/// the same, and so have those of all that are like it: they are chosen once. One per core, of fixed size: a choice has one place, and
/// the last that came there stays.
@safe
struct PossibleSignatures: ~Copyable {
  /// What a choice depends on.
  struct Question: BitwiseCopyable, Equatable {
    /// Of a list in ``PrefilterTables/candidates`` that is not empty.
    var start: UInt32
    var protocolNumber: UInt8
    var ends: PacketEnds
  }

  /// The most signatures of a choice that is kept.
  static var mostSignatures: Int { 64 }
  private static var placeCount: Int { 256 }

  private struct Choice: BitwiseCopyable {
    var question: Question? = nil
    var count = 0
  }

  private let choices: UnsafeMutablePointer<Choice>
  /// Places in ``PrefilterTables/unsearched``, room for ``mostSignatures`` for each choice.
  private let chosen: UnsafeMutablePointer<UInt32>

  init() {
    unsafe choices = .allocate(capacity: Self.placeCount)
    unsafe choices.initialize(repeating: Choice(), count: Self.placeCount)
    unsafe chosen = .allocate(capacity: Self.placeCount * Self.mostSignatures)
    unsafe chosen.initialize(repeating: 0, count: Self.placeCount * Self.mostSignatures)
  }

  deinit {
    unsafe choices.deallocate()
    unsafe chosen.deallocate()
  }

  /// The place of a choice.
  @inline(__always)
  func place(of question: Question) -> Int {
    var mixed = UInt64(question.start) << 8 | UInt64(question.protocolNumber)
    mixed = Self.mix(mixed, question.ends.source)
    mixed = Self.mix(mixed, question.ends.destination)
    mixed = Self.mix(mixed, question.ends.sourcePort)
    mixed = Self.mix(mixed, question.ends.destinationPort)
    return Int(mixed & UInt64(Self.placeCount &- 1))
  }

  @inline(__always)
  private static func mix(_ state: UInt64, _ bits: UInt64) -> UInt64 {
    let product = (state ^ bits) &* 0x9E37_79B9_7F4A_7C15
    return product ^ product &>> 32
  }

  /// How many were chosen; nil when the place has another choice.
  @inline(__always)
  func count(of question: Question, at place: Int) -> Int? {
    precondition(place >= 0 && place < Self.placeCount)
    return unsafe choices[place].question == question ? choices[place].count : nil
  }

  @inline(__always)
  func signature(_ index: Int, at place: Int) -> UInt32 {
    precondition(place >= 0 && place < Self.placeCount && index >= 0 && index < Self.mostSignatures)
    return unsafe chosen[place &* Self.mostSignatures &+ index]
  }

  /// Begins a choice: what `isPossible` of a list's places in ``PrefilterTables/unsearched``.
  ///
  /// - Returns: how many there are; nil, and nothing is kept, when there are too many.
  mutating func choose(
    _ question: Question, at place: Int, from candidates: ConstantTable<UInt32>, _ range: TableRange,
    where isPossible: (UInt32) -> Bool
  ) -> Int? {
    precondition(place >= 0 && place < Self.placeCount)
    var count = 0
    unsafe choices[place].question = nil
    for index in range.indices {
      let candidate = candidates[index]
      if !isPossible(candidate) { continue }
      guard count < Self.mostSignatures else { return nil }
      unsafe chosen[place &* Self.mostSignatures &+ count] = candidate
      count += 1
    }
    unsafe choices[place] = Choice(question: question, count: count)
    return count
  }
}
