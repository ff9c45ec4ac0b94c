internal import AllyHW
internal import CAllyLinux
internal import Glibc

/// An appliance in two processes: the interceptor has rings, drivers and uplinks, the inspector has rules, engine and records
/// (paper §4.4). Neither sees the other's memory but for what crosses.
public enum InspectorProcess {
  /// What a process is after ``split(frameFiles:failure:timeout:tell:)``.
  public enum Role {
    case interceptor(InspectorLink)
    /// Everything that it opens and reads is its own. When it has ended its work the process ends.
    case inspector(InspectorSeat)
  }

  /// Makes two processes of one, and a third that starts another inspector when one has ended. For a process with one thread that
  /// has opened nothing yet: each of them has what there was.
  ///
  /// Returns in the interceptor, and once more in each inspector.
  ///
  /// - Parameters:
  ///   - frameFiles: how many pieces of memory for frames there will be (a guest's NIC has one).
  ///   - failure: what becomes of frames while there is no inspector.
  ///   - timeout: nanoseconds after which an inspector that gives no verdict is stuck.
  ///   - tell: is told, in the interceptor, what happens to inspectors.
  public static func split(
    frameFiles: Int, failure: InspectorFailure, timeout: UInt64 = 2_000_000_000,
    tell: @escaping (InspectorLink.Event) -> Void
  ) throws(HostError) -> Role {
    guard frameFiles <= InspectionArea.mostFrameFiles else {
      throw HostError("an inspector for \(frameFiles) NICs; expected \(InspectionArea.mostFrameFiles) at the most")
    }
    let areaFile = try OwnedFile.inMemory("ally-inspection", length: InspectionArea.length)
    let area = try MappedMemory(
      areaFile.number, offset: 0, length: UInt64(InspectionArea.length), rights: .readWrite)
    var files: [OwnedFile] = []
    for _ in 0..<frameFiles { files.append(try .inMemory("ally-frames")) }
    let inspectorWake = try WakeUp()
    let interceptorWake = try WakeUp()
    var lifeEnds: [Int32] = [-1, -1]
    guard unsafe pipe(&lifeEnds) == 0 else { throw HostError("cannot make a pipe", code: errno) }
    let lifeReading = OwnedFile(lifeEnds[0])
    let lifeWriting = OwnedFile(lifeEnds[1])
    var ends: [Int32] = [-1, -1]
    guard unsafe socketpair(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue), 0, &ends) == 0 else {
      throw HostError("cannot make a pair of sockets", code: errno)
    }
    let ours = OwnedFile(ends[0])
    let theirs = OwnedFile(ends[1])
    let child = ally_fork(0)
    guard child >= 0 else { throw HostError("cannot start a process", code: errno) }
    if child > 0 {
      theirs.close()
      lifeReading.close()
      // Who means the inspector's files and rules means the inspector.
      for number in [SIGHUP, SIGUSR2] { signal(number, SIG_IGN) }
      return .interceptor(
        InspectorLink(
          area: area, inspectorWake: inspectorWake, interceptorWake: interceptorWake, life: lifeWriting, socket: ours,
          frameFiles: files, failure: failure, timeout: timeout, tell: tell))
    }
    ours.close()
    lifeWriting.close()
    let number = InspectorStarter.run(theirs.number)
    // From here on in an inspector. Its files of frames are good for reading alone once the interceptor has sealed them.
    return .inspector(
      InspectorSeat(
        area: area, inspectorWake: inspectorWake, interceptorWake: interceptorWake, life: lifeReading,
        frameFiles: files, number: number))
  }
}
