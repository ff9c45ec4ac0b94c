internal import CAllyLinux
internal import Glibc

extension Uplink {
  /// A TAP interface, which is made if it is not there. It needs the right to administer the network, unless the interface
  /// was made for this user.
  ///
  /// The kernel computes checksums and cuts segments before it hands frames over, because no offload is asked for.
  public static func tap(_ interface: String) throws(HostError) -> Uplink {
    guard !interface.isEmpty, interface.utf8.count < 16 else {
      throw HostError("tap:\(interface): an interface's name has 1 to 15 bytes")
    }
    var actual = [CChar](repeating: 0, count: 16)
    let descriptor = unsafe ally_open_tap(interface, &actual)
    guard descriptor >= 0 else {
      if errno == EINVAL { throw HostError("\(interface) is no TAP interface: expected one, or a name that is free") }
      throw HostError("cannot open the TAP interface \(interface)", code: errno)
    }
    return Uplink(OwnedDescriptor(descriptor), name: "tap:\(interface)", interface: interface)
  }
}
