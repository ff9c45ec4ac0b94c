internal import CAllyLinux
internal import Glibc

extension Uplink {
  /// What an uplink is, and with that how its descriptor is used.
  public enum Kind: Sendable, Equatable {
    case tap(String)
    case packet(String)
    case datagram(local: String, remote: String)
    /// The first and the second of them are two ends of a cable, and so on.
    case guest
  }

  /// Opens an uplink.
  ///
  /// - Parameters:
  ///   - kind: what it is.
  ///   - otherEnd: of a cable between two guests, of which one end was opened.
  public static func open(_ kind: Kind, _ otherEnd: inout Uplink?) throws(HostError) -> Uplink {
    switch kind {
    case .tap(let name): try .tap(name)
    case .packet(let name): try .packet(name)
    case .datagram(let local, let remote): try .datagram(local: local, remote: remote)
    case .guest: try .guest(&otherEnd)
    }
  }

  /// An uplink of the same kind that another executable has opened, and left this one.
  init(_ kind: Kind, inheriting descriptor: Int32) {
    let file = OwnedDescriptor(descriptor)
    switch kind {
    case .tap(let name): self.init(file, name: "tap:\(name)", interface: name)
    case .packet(let name): self.init(file, name: "packet:\(name)", interface: name, packets: PacketLine())
    case .datagram(let local, _): self.init(file, name: "unix:\(local)", path: local)
    case .guest: self.init(file, name: "guest", holdsUp: true)
    }
  }

  /// Opens an uplink, or takes over what the executable before has opened.
  ///
  /// - Parameters:
  ///   - kind: what it is.
  ///   - otherEnd: of a cable between two guests, of which one end was opened.
  ///   - name: of the guest's uplink, for the executable that comes after this one.
  ///   - starter: of the workers.
  public static func open(
    _ kind: Kind, _ otherEnd: inout Uplink?, as name: String, in starter: WorkerStarter
  ) throws(HostError) -> Uplink {
    if let number = try starter.inheritance.takeOfGuest(name) { return Uplink(kind, inheriting: number) }
    let uplink = try open(kind, &otherEnd)
    starter.inheritance.note(uplink.descriptor, as: name)
    return uplink
  }
}
