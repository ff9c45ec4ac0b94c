/// How connections are tracked: how many, for how long, how strictly.
public struct TrackingConfiguration: Sendable, Equatable {
  /// The most connections at once. Memory for all of them (about 150 bytes each) is taken when the firewall is made.
  public var maximumConnections: Int
  /// The most fragmented datagrams that are remembered at once.
  public var maximumDatagrams: Int
  /// Whether a TCP connection may begin in its middle, with an acknowledgment. Off, such segments are `invalid`.
  public var picksUpConnections: Bool
  /// Whether a TCP segment must lie in its connection's window to belong to it. Off, ports and flags decide.
  public var checksWindows: Bool
  /// Chooses where connections lie in the table; nil: at random, so that no remote host can aim at one place.
  public var seed: UInt64?
  /// How long connections are kept.
  public var timeOuts: TimeOuts

  public init(
    maximumConnections: Int = 65_536, maximumDatagrams: Int = 1_024, picksUpConnections: Bool = false,
    checksWindows: Bool = true, seed: UInt64? = nil, timeOuts: TimeOuts = TimeOuts()
  ) {
    self.maximumConnections = maximumConnections
    self.maximumDatagrams = maximumDatagrams
    self.picksUpConnections = picksUpConnections
    self.checksWindows = checksWindows
    self.seed = seed
    self.timeOuts = timeOuts
  }

  /// Seconds since a connection's last packet after which it is forgotten. The defaults are those of Linux's connection
  /// tracking (nf_conntrack-sysctl).
  public struct TimeOuts: Sendable, Equatable, BitwiseCopyable {
    public var tcpSYNSent: UInt32 = 120
    public var tcpSYNReceived: UInt32 = 60
    /// Five days.
    public var tcpEstablished: UInt32 = 432_000
    public var tcpFINWait: UInt32 = 120
    public var tcpLastAck: UInt32 = 30
    public var tcpTimeWait: UInt32 = 120
    /// After a reset.
    public var tcpClosed: UInt32 = 10
    public var udpUnanswered: UInt32 = 30
    public var udpAnswered: UInt32 = 120
    public var icmp: UInt32 = 30
    public var other: UInt32 = 600
    /// Between the fragments of a datagram (RFC 791 §3.2 says 15, Linux 30).
    public var fragments: UInt32 = 30

    public init() {}
  }
}
