internal import CAllyLinux
internal import Glibc

extension Uplink {
  /// What an uplink is, and with that how its descriptor is used.
  public enum Kind: Sendable, Equatable {
    case tap(String)
    case packet(String)
    case datagram(local: String, remote: String)
  }

  /// Opens an uplink.
  public static func open(_ kind: Kind) throws(HostError) -> Uplink {
    switch kind {
    case .tap(let name): try .tap(name)
    case .packet(let name): try .packet(name)
    case .datagram(let local, let remote): try .datagram(local: local, remote: remote)
    }
  }

  /// An uplink of the same kind that another executable has opened, and left this one.
  init(_ kind: Kind, inheriting descriptor: Int32) {
    let file = OwnedDescriptor(descriptor)
    switch kind {
    case .tap(let name): self.init(file, name: "tap:\(name)", interface: name)
    case .packet(let name): self.init(file, name: "packet:\(name)", interface: name, packets: PacketLine())
    case .datagram(let local, _): self.init(file, name: "unix:\(local)", path: local)
    }
  }

  /// Opens an uplink, or takes over what the executable before has opened.
  ///
  /// - Parameter name: of the guest's uplink, for the executable that comes after this one.
  public static func open(_ kind: Kind, as name: String, in starter: WorkerStarter) throws(HostError) -> Uplink {
    if let number = try starter.inheritance.takeOfGuest(name) { return Uplink(kind, inheriting: number) }
    let uplink = try open(kind)
    starter.inheritance.note(uplink.descriptor, as: name)
    return uplink
  }
}
