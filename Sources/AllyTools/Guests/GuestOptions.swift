internal import AllyHost
public import ArgumentParser

/// Where guests are served, and what their NICs are.
public struct GuestOptions: ParsableArguments {
  @Option(
    name: .customLong("attach"), parsing: .singleValue,
    help: ArgumentHelp(
      "Serve a NIC to a guest at a socket; repeatable, each with an --uplink (Docs/AttachGuest.md).",
      valueName: "vfio-user:path|vhost-user:path"),
    transform: OptionValue.read("vfio-user:PATH or vhost-user:PATH, a path of 1 to 107 bytes", GuestAttachment.init))
  var attachments: [GuestAttachment] = []

  @Option(name: .customLong("nic"), help: "What NIC guests find (default: e1000).")
  var saidNIC: GuestNICKind?

  @Option(
    name: .customLong("qemu"),
    help: ArgumentHelp(
      "Have QEMU's own model of the NIC behind the appliance, not ours: the program, 10.1 or later.",
      valueName: "program"))
  var qemu: String?

  @Option(
    name: .customLong("uplink"), parsing: .singleValue,
    help: ArgumentHelp(
      "Where a guest's cable leads: a TAP interface, an interface of this machine, two unix datagram sockets, ours and the other end's, or the guest of the next --uplink guest.",
      valueName: "tap:name|packet:name|unix:local,remote|guest"),
    transform: OptionValue.read(
      "tap:NAME or packet:NAME, a name of 1 to 15 bytes; unix:LOCAL,REMOTE, two paths of 1 to 107 bytes; or guest",
      GuestUplink.init))
  var uplinks: [GuestUplink] = []

  @Option(
    name: .customLong("record"),
    help: ArgumentHelp(
      "Also write every frame as it was inspected, as pcap; appears when it is complete. Not with --keep.",
      valueName: "file"))
  var record: String?

  @Option(
    name: .customLong("keep"),
    help: ArgumentHelp(
      "Have a worker that dies replaced, unnoticed by guests; and a frame that workers die of refused, or let pass uninspected. Not with --record or --qemu.",
      valueName: "fail-closed|fail-open"))
  var gap: GapChoice?

  @Option(
    name: .customLong("control"),
    help: ArgumentHelp("With --keep: socket at which `ally upgrade` asks for another executable.", valueName: "path"),
    transform: OptionValue.read("a path of 1 to 107 bytes") { (1...107).contains($0.utf8.count) ? $0 : nil })
  var control: String?

  public init() {}

  var nic: GuestNICKind { saidNIC ?? .e1000 }

  /// Whether guests are to be served at all.
  public var isWanted: Bool { !attachments.isEmpty }

  public func validate() throws {
    guard attachments.count == uplinks.count else {
      throw ValidationError(
        "\(attachments.count) --attach and \(uplinks.count) --uplink: expected one uplink for each guest")
    }
    guard saidNIC == nil || isWanted else { throw ValidationError("--nic goes with --attach") }
    guard record == nil || isWanted else { throw ValidationError("--record goes with --attach") }
    guard gap == nil || isWanted else { throw ValidationError("--keep goes with --attach") }
    guard control == nil || gap != nil else { throw ValidationError("--control goes with --keep") }
    guard gap == nil || record == nil else {
      throw ValidationError("--record with --keep: a capture ends with the worker that writes it; expected one of them")
    }
    let paired = uplinks.count { $0.kind == .guest }
    guard paired.isMultiple(of: 2) else {
      throw ValidationError("\(paired) --uplink guest: expected two for each pair of guests")
    }
    guard qemu == nil || isWanted else { throw ValidationError("--qemu goes with --attach") }
    guard qemu == nil || nic != .virtioNet else {
      throw ValidationError("--qemu with --nic virtio-net: expected e1000, e1000e or igb")
    }
    guard qemu == nil || gap == nil else {
      throw ValidationError("--qemu with --keep: what QEMU's NIC holds dies with its worker; expected one of them")
    }
    guard Set(attachments.map(\.path)).count == attachments.count else {
      throw ValidationError("two guests at one socket: expected a socket for each --attach")
    }
    guard attachments.allSatisfy({ ($0.way == .vhostUser) == (nic == .virtioNet) }) else {
      throw ValidationError(
        "--nic \(nic.rawValue): expected virtio-net with vhost-user, and one of the others with vfio-user")
    }
  }
}

/// `--attach vfio-user:PATH` or `--attach vhost-user:PATH`.
struct GuestAttachment: Equatable {
  enum Way: String {
    case vfioUser = "vfio-user"
    case vhostUser = "vhost-user"
  }

  var way: Way
  var path: String

  init?(_ argument: String) {
    guard let colon = argument.firstIndex(of: ":"), let way = Way(rawValue: String(argument[..<colon])) else {
      return nil
    }
    self.way = way
    path = String(argument[argument.index(after: colon)...])
    // The room that the system has for a socket's name.
    if path.isEmpty || path.utf8.count > 107 { return nil }
  }
}

/// `--keep`: what becomes of a frame that workers die of. There is no default: it is the operator's to choose between a hole
/// in the protection and one in the service.
enum GapChoice: String, ExpressibleByArgument, CaseIterable {
  /// It is dropped.
  case failClosed = "fail-closed"
  /// It passes, uninspected.
  case failOpen = "fail-open"
}

/// `--nic`.
enum GuestNICKind: String, ExpressibleByArgument, CaseIterable {
  case e1000, e1000e, igb
  case virtioNet = "virtio-net"
}

/// `--uplink`.
struct GuestUplink: Equatable {
  var kind: Uplink.Kind
  /// As it was written.
  var text: String

  init?(_ argument: String) {
    text = argument
    if argument == "guest" {
      kind = .guest
      return
    }
    guard let colon = argument.firstIndex(of: ":") else { return nil }
    let rest = argument[argument.index(after: colon)...]
    switch argument[..<colon] {
    case "tap", "packet":
      guard (1...15).contains(rest.utf8.count), !rest.contains("/") else { return nil }
      kind = argument[..<colon] == "tap" ? .tap(String(rest)) : .packet(String(rest))
    case "unix":
      let paths = rest.split(separator: ",", omittingEmptySubsequences: false)
      guard paths.count == 2, paths.allSatisfy({ (1...107).contains($0.utf8.count) }) else { return nil }
      kind = .datagram(local: String(paths[0]), remote: String(paths[1]))
    default: return nil
    }
  }
}
