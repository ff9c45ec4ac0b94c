internal import CAllyLinux
internal import Glibc

/// What a command has opened that an executable which takes its place is to find: descriptors by name, and the layout of what is
/// in those that are memory.
///
/// An executable that is the first of a command makes them; a later one takes them over, and takes nothing for its own that it
/// cannot read.
struct Inheritance {
  private struct Entry {
    var name: String
    var layout: String
    var number: Int32
  }

  /// Where the list is when a program begins: name, layout and number of each.
  static let variable = "ALLY_INHERITANCE"
  private static let (field, line): (Character, Character) = ("\u{1F}", "\u{1E}")

  /// Whether another executable came before.
  let isSuccessor: Bool
  /// What that left, until it is taken.
  private var left: [Entry] = []
  private var entries: [Entry] = []
  /// Memory that was made to be tried out in, and whose place the other executable's takes.
  private var trials: [(memory: MappedMemory, entry: Entry)] = []

  /// Whether this process has been left something, and has not looked yet.
  static var isThere: Bool { unsafe getenv(variable) != nil }

  /// Of this process: what it was started with. Once.
  init() {
    self.init(list: unsafe getenv(Self.variable).map { unsafe String(cString: $0) })
    unsafe unsetenv(Self.variable)
  }

  /// - Parameter list: as ``bequest(with:)`` gives it; nil for the first executable of a command.
  init(list text: String?) {
    isSuccessor = text != nil
    guard let text else { return }
    left = text.split(separator: Self.line).compactMap { line in
      let fields = line.split(separator: Self.field, omittingEmptySubsequences: false)
      guard fields.count == 3, let number = Int32(fields[2]), fcntl(number, F_SETFD, FD_CLOEXEC) == 0 else {
        return nil
      }
      return Entry(name: String(fields[0]), layout: String(fields[1]), number: number)
    }
  }

  private mutating func remove(_ name: String) -> Entry? {
    left.firstIndex { $0.name == name }.map { left.remove(at: $0) }
  }

  /// A descriptor that the executable before has left and that was not taken yet, to look at; nil without one.
  func number(of name: String) -> Int32? { left.first { $0.name == name }?.number }

  /// A descriptor that was meant for this executable alone, and is now the caller's; nil without one.
  mutating func takeOwn(_ name: String) -> Int32? { remove(name)?.number }

  /// A descriptor that the executable before has left, and that is now the caller's, to stay open for the one after; nil without
  /// one.
  mutating func take(_ name: String) -> Int32? {
    guard let entry = remove(name) else { return nil }
    entries.append(entry)
    return entry.number
  }

  /// A descriptor of a guest's, as ``take(_:)``.
  ///
  /// - Throws: when there was another executable, which has left none of that name.
  mutating func takeOfGuest(_ name: String) throws(HostError) -> Int32? {
    guard isSuccessor else { return nil }
    if let number = take(name) { return number }
    throw HostError(
      "the running command has no \(name): expected its --attach, --nic and --uplink, in its order")
  }

  /// Notes a descriptor, which stays open, for the executable that comes after this one.
  mutating func note(_ number: Int32, as name: String) {
    entries.append(Entry(name: name, layout: "", number: number))
  }

  /// Notes memory, and has it be that of the executable before from ``settle()`` on.
  ///
  /// - Throws: when the memory of that one is of another layout, or length, or is not there.
  mutating func note(_ memory: MappedMemory, as name: String, layout: String) throws(HostError) {
    guard let own = memory.fileNumber else { preconditionFailure("memory without a file is to be left to another") }
    guard isSuccessor else { return entries.append(Entry(name: name, layout: layout, number: own)) }
    guard let entry = remove(name) else {
      throw HostError("the running command keeps no \(name): expected its --attach, --nic and --uplink")
    }
    var information = stat()
    guard entry.layout == layout, unsafe fstat(entry.number, &information) == 0, information.st_size == memory.length
    else {
      throw HostError(
        "what the running command keeps as \(name) is \(entry.layout); expected \(layout), of \(memory.length) bytes")
    }
    trials.append((memory, entry))
  }

  /// Everything that guests have was taken.
  func requireAllOfGuests() throws(HostError) {
    guard let entry = left.first(where: { $0.name.hasPrefix("guest") }) else { return }
    throw HostError("the running command has \(entry.name): expected its --attach, --nic and --uplink, in its order")
  }

  /// The executable before has ended its work: what memory it has left takes the place of what was tried out.
  mutating func settle() throws(HostError) {
    for (memory, entry) in trials {
      try memory.become(OwnedFile(entry.number))
      entries.append(entry)
    }
    trials = []
    for entry in left { close(entry.number) }
    left = []
  }

  // MARK: - Leaving it

  /// The list for another program, which finds it in its environment (``variable``), with descriptors besides.
  ///
  /// - Returns: the list, and the descriptors that the program is to have.
  func bequest(with more: [String: Int32]) -> (list: String, numbers: [Int32]) {
    let all = entries + more.map { Entry(name: $0.key, layout: "", number: $0.value) }
    let lines = all.map { [$0.name, $0.layout, String($0.number)].joined(separator: String(Self.field)) }
    return (lines.joined(separator: String(Self.line)), all.map(\.number))
  }
}
