internal import AllyPacket

/// Operations of NFS 4 (RFC 7530 §16, RFC 8881 §18).
enum NFS4Operation {
  static var create: UInt32 { 6 }
  static var read: UInt32 { 25 }
  static var remove: UInt32 { 28 }
  static var write: UInt32 { 38 }

  /// Operations that are read of one call: servers allow fewer.
  fileprivate static var most: Int { 64 }
}

/// One operation of a call, as far as transactions and files are concerned.
private enum NFS4Request {
  case other
  case putHandle(ArraySlice<UInt8>)
  case create(name: ArraySlice<UInt8>)
  case remove(name: ArraySlice<UInt8>)
  case look(name: ArraySlice<UInt8>)
  case open(name: ArraySlice<UInt8>)
  case read(offset: UInt64)
  case write(NFS3Write)
  case commit
  case close
}

/// The result of one operation.
private enum NFS4Result {
  case other
  case handle(ArraySlice<UInt8>)
  case root
  case opened
  case read(NFS3Read)
  /// The result of what names the transaction.
  case named(status: UInt32)
}

extension NFSParser {
  /// COMPOUND (RFC 7530 §15.2).
  private static var compound: UInt32 { 1 }

  func takeCall4(_ call: RPCCall) {
    var about = Call(version: call.version, procedure: call.procedure)
    if conversation.version == 0 { conversation.version = call.version }
    if call.procedure == NFSParser.compound {
      var arguments = ByteReader(call.arguments)
      if let security = call.security, security.procedure == 0, security.service == 2 {
        about.isWrapped = true
        guard let inner = arguments.unwrapped() else { return noteMalformed() }
        arguments = inner
      }
      if let requests = arguments.requests() { take(requests, of: call, &about) } else { noteMalformed() }
    }
    wait(for: call, about)
  }

  /// A write in a call of which only the head has come.
  func takeWrite4(in call: RPCCall) -> (transaction: NFSTransaction, offset: UInt64, left: Int)? {
    var arguments = ByteReader(call.arguments)
    guard call.procedure == NFSParser.compound, let requests = arguments.requests(isHead: true),
      case .write(let write)? = requests.last, write.data.count < write.count
    else { return nil }
    var about = Call(version: call.version, procedure: call.procedure)
    if conversation.version == 0 { conversation.version = call.version }
    wait(for: call, about)
    return take(requests, of: call, &about)
  }

  /// Likewise what was read.
  func takeRead4(in reply: RPCReply, to call: Call) -> (transaction: NFSTransaction, offset: UInt64, left: Int)? {
    var results = ByteReader(reply.results)
    guard call.procedure == NFSParser.compound, !call.isWrapped, let list = results.results(isHead: true),
      case .read(let read)? = list.last, read.data.count < read.count
    else { return nil }
    endWait(for: reply)
    return takeRead(reply, read, to: call)
  }

  /// - Returns: what is missing of a write that comes last.
  @discardableResult
  private func take(_ requests: [NFS4Request], of call: RPCCall, _ about: inout Call)
    -> (transaction: NFSTransaction, offset: UInt64, left: Int)?
  {
    var passing: (transaction: NFSTransaction, offset: UInt64, left: Int)?
    var handle: ArraySlice<UInt8>?
    var named: UInt32?
    for request in requests {
      switch request {
      case .putHandle(let bytes): handle = bytes
      case .look(let name), .open(let name): about.name = Array(name)
      case .create(let name):
        about.handle = handle.map { Array($0) } ?? about.handle
        about.name = Array(name)
        named = NFS4Operation.create
      case .remove(let name):
        about.name = Array(name)
        named = NFS4Operation.remove
      case .read(let offset):
        guard let handle else { continue }
        about.offset = offset
        about.handle = Array(handle)
        about.name = names[about.handle] ?? []
      case .write(var write):
        guard let handle else { continue }
        write.handle = handle
        passing = takeWrite(call, write, procedure: NFS4Operation.write)
      case .commit, .close:
        guard let handle, let transaction = file(Array(handle), from: .toServer) else { continue }
        transaction.closeFile(call, as: nil)
        note(transaction)
      case .other: break
      }
    }
    if let named { begin(call, about, procedure: named) }
    return passing
  }

  func takeReply4(_ reply: RPCReply, to call: Call) {
    guard call.procedure == NFSParser.compound else { return }
    var results = ByteReader(reply.results)
    if call.isWrapped {
      guard let inner = results.unwrapped() else { return noteMalformed() }
      results = inner
    }
    guard let list = results.results() else { return noteMalformed() }
    var call = call
    var isOpened = false
    for result in list {
      switch result {
      case .opened: isOpened = true
      case .handle(let handle): if isOpened { names[Array(handle)] = call.name }
      case .root: if call.name.isEmpty { call.name = Array("<mount_root>".utf8) }
      case .read(let read): takeRead(reply, read, to: call)
      case .named(let status): answer(reply, status: status)
      case .other: break
      }
    }
  }
}

extension ByteReader {
  /// What is in a wrapper that says it is unchanged (RFC 2203 §5.3.2.2).
  fileprivate mutating func unwrapped() -> ByteReader? {
    guard let wrapped = opaque() else { return nil }
    var inner = ByteReader(wrapped)
    return inner.skip(4) ? inner : nil
  }

  // MARK: calls

  /// The operations of a call; nil when one of them is not known or not all there.
  ///
  /// - Parameter isHead: not all of the call has come: the last may be a write of which something is missing.
  fileprivate mutating func requests(isHead: Bool = false) -> [NFS4Request]? {
    guard opaque() != nil, skip(4), let count = u32(), count <= NFS4Operation.most else { return nil }
    var requests: [NFS4Request] = []
    for _ in 0..<count {
      guard let operation = u32() else { return nil }
      if operation == NFS4Operation.write, isHead, let write = writeRequest(isHead: true) {
        requests.append(.write(write))
        if write.data.count < write.count { return requests }
        continue
      }
      guard let request = request(operation) else { return nil }
      requests.append(request)
    }
    return requests
  }

  private mutating func request(_ operation: UInt32) -> NFS4Request? {
    switch operation {
    case 5: return skip(12) ? .commit : nil
    case 4: return skip(20) ? .close : nil
    case NFS4Operation.create: return createRequest()
    case 15: return opaque().map { .look(name: $0) }
    case 18: return openRequest()
    case 22: return opaque().map { .putHandle($0) }
    case NFS4Operation.read:
      guard skip(16), let offset = u64(), skip(4) else { return nil }
      return .read(offset: offset)
    case NFS4Operation.remove: return opaque().map { .remove(name: $0) }
    case NFS4Operation.write: return writeRequest(isHead: false).map { .write($0) }
    default: return skipRequest(operation) ? .other : nil
    }
  }

  /// RFC 7530 §16.36.
  private mutating func writeRequest(isHead: Bool) -> NFS3Write? {
    guard skip(16), let offset = u64(), let stable = u32(), stable <= 2, let (count, data) = content(isHead: isHead)
    else { return nil }
    return NFS3Write(handle: [], offset: offset, count: count, stable: stable, data: data)
  }

  /// Bytes behind their length; of a head, as many as there are.
  private mutating func content(isHead: Bool) -> (count: Int, data: ArraySlice<UInt8>)? {
    if !isHead { return opaque().map { ($0.count, $0) } }
    guard let count = u32().map({ Int($0) }), let data = take(Swift.min(count, self.count)) else { return nil }
    _ = skip(Swift.min(count.xdrPadding, self.count))
    return (count, data)
  }

  /// RFC 7530 §16.4.
  private mutating func createRequest() -> NFS4Request? {
    guard let type = u32() else { return nil }
    switch type {
    case 5: if opaque() == nil { return nil }
    case 3, 4: if !skip(8) { return nil }
    default: break
    }
    guard let name = opaque(), skipAttributes() else { return nil }
    return .create(name: name)
  }

  /// RFC 7530 §16.16.
  private mutating func openRequest() -> NFS4Request? {
    guard skip(20), opaque() != nil, let kind = u32() else { return nil }
    if kind == 1 {
      guard let mode = u32() else { return nil }
      switch mode {
      case 0, 1: if !skipAttributes() { return nil }
      case 2: if !skip(8) { return nil }
      case 3: if !skip(8) || !skipAttributes() { return nil }
      default: return nil
      }
    }
    guard let claim = u32() else { return nil }
    switch claim {
    case 0, 3: return opaque().map { .open(name: $0) }
    case 1: return skip(4) ? .other : nil
    case 2: return skip(16) ? opaque().map { .open(name: $0) } : nil
    case 4, 6: return .other
    case 5: return skip(16) ? .other : nil
    default: return nil
    }
  }

  /// Passes over the arguments of an operation that says nothing about files.
  private mutating func skipRequest(_ operation: UInt32) -> Bool {
    switch operation {
    case 10, 16, 23, 24, 27, 31, 32: true  // GETFH, LOOKUPP, PUTPUBFH, PUTROOTFH, READLINK, RESTOREFH, SAVEFH
    case 3, 19, 52, 58: skip(4)  // ACCESS, OPENATTR, SECINFO_NO_NAME, RECLAIM_COMPLETE
    case 7, 30, 57: skip(8)  // DELEGPURGE, RENEW, DESTROY_CLIENTID
    case 8, 44, 45, 36: skip(16)  // DELEGRETURN, DESTROY_SESSION, FREE_STATEID, SETCLIENTID_CONFIRM
    case 9: skipWords()  // GETATTR
    case 11, 33: opaque() != nil  // LINK, SECINFO
    case 12: skipLock()
    case 13: skip(28) && opaque() != nil  // LOCKT
    case 14: skip(40)  // LOCKU
    case 17, 37: skipAttributes()  // NVERIFY, VERIFY
    case 20: skip(20)  // OPEN_CONFIRM
    case 21: skip(28)  // OPEN_DOWNGRADE
    case 26: skip(24) && skipWords()  // READDIR
    case 29: opaque() != nil && opaque() != nil  // RENAME
    case 34: skip(16) && skipAttributes()  // SETATTR
    case 35: skip(8) && opaque() != nil && skip(4) && opaque() != nil && opaque() != nil && skip(4)  // SETCLIENTID
    case 39: skip(8) && opaque() != nil  // RELEASE_LOCKOWNER
    case 41: skip(24)  // BIND_CONN_TO_SESSION
    case 42: skip(8) && opaque() != nil && skip(4) && skipProtection() && skipImplementations()  // EXCHANGE_ID
    case 43: skip(16) && skipChannel() && skipChannel() && skip(4) && skipCallbackSecurity()  // CREATE_SESSION
    case 47: skip(24) && skipWords()  // GETDEVICEINFO
    case 50: skip(56)  // LAYOUTGET
    case 53: skip(32)  // SEQUENCE
    case 55: skipStateIDs()  // TEST_STATEID
    default: false
    }
  }

  /// LOCK (RFC 7530 §16.10).
  private mutating func skipLock() -> Bool {
    guard skip(24), let isNew = u32() else { return false }
    return isNew == 0 ? skip(20) : skip(32) && opaque() != nil
  }

  /// `fattr4`: which attributes, and their values.
  private mutating func skipAttributes() -> Bool { skipWords() && opaque() != nil }

  private mutating func skipProtection() -> Bool {
    switch u32() {
    case 0: true
    case 1: skipWords() && skipWords()
    default: false
    }
  }

  private mutating func skipImplementations() -> Bool {
    guard let count = u32(), count <= 1 else { return false }
    return count == 0 || opaque() != nil && opaque() != nil && skip(12)
  }

  /// `channel_attrs4`.
  private mutating func skipChannel() -> Bool { skip(24) && skipWords() }

  private mutating func skipCallbackSecurity() -> Bool {
    guard let count = u32(), count <= 8 else { return false }
    for _ in 0..<count {
      switch u32() {
      case 0: break
      case 1: if !(skip(4) && opaque() != nil && skip(8) && skipWords()) { return false }
      default: return false
      }
    }
    return true
  }

  private mutating func skipStateIDs() -> Bool {
    guard let count = u32() else { return false }
    return skip(Int(count) * 16)
  }

  // MARK: replies

  /// The results of a reply, up to one whose length is not known; nil when something is missing.
  ///
  /// - Parameter isHead: not all of the reply has come: the last may be a read of which something is missing.
  fileprivate mutating func results(isHead: Bool = false) -> [NFS4Result]? {
    guard u32() != nil, opaque() != nil, let count = u32(), count <= NFS4Operation.most else { return nil }
    var results: [NFS4Result] = []
    for _ in 0..<count {
      guard let operation = u32(), let status = u32(), let result = result(operation, status, isHead) else {
        return nil
      }
      results.append(result)
      if isHead, case .read(let read) = result, read.data.count < read.count { return results }
    }
    return results
  }

  private mutating func result(_ operation: UInt32, _ status: UInt32, _ isHead: Bool) -> NFS4Result? {
    switch operation {
    case NFS4Operation.create, NFS4Operation.remove:
      if status != 0 { return .named(status: status) }
      return skip(20) && (operation == NFS4Operation.remove || skipWords()) ? .named(status: status) : nil
    case 34: return skipWords() ? .other : nil  // SETATTR, whatever its status
    case _ where status != 0: return .other
    case 10: return opaque().map { .handle($0) }
    case 18: return skip(16 + 20 + 4) && skipWords() && skipDelegation() ? .opened : nil
    case 24: return .root
    case NFS4Operation.read:
      guard let isLast = u32(), let (count, data) = content(isHead: isHead) else { return nil }
      return .read(NFS3Read(status: status, count: count, isLast: isLast == 1, data: data))
    default: return skipResult(operation) ? .other : nil
    }
  }

  /// Passes over the result of an operation that went well and says nothing about files.
  private mutating func skipResult(_ operation: UInt32) -> Bool {
    switch operation {
    case 7, 8, 13, 15, 16, 17, 19, 22, 23, 30, 31, 32, 36, 37, 39, 44, 45, 57, 58: true
    case 3, 5: skip(8)  // ACCESS, COMMIT
    case 4, 12, 14, 20, 21: skip(16)  // CLOSE, LOCK, LOCKU, OPEN_CONFIRM, OPEN_DOWNGRADE: a state
    case 9: skipAttributes()
    case 11: skip(20)  // LINK
    case 26: skip(8) && skipEntries()  // READDIR
    case 27: opaque() != nil
    case 29: skip(40)  // RENAME
    case 35, NFS4Operation.write: skip(16)  // SETCLIENTID, WRITE
    case 41: skip(24)
    case 42: skip(16) && skipProtection() && skip(8) && opaque() != nil && opaque() != nil && skipImplementations()
    case 43: skip(24) && skipChannel() && skipChannel()
    case 53: skip(36)  // SEQUENCE
    case 55: skipWords()
    default: false
    }
  }

  private mutating func skipDelegation() -> Bool {
    switch u32() {
    case 0: return true
    case 1: return skip(20) && skip(12) && opaque() != nil
    case 2:
      guard skip(20), let limit = u32() else { return false }
      return skip(8) && (limit == 1 || limit == 2) && skip(12) && opaque() != nil
    case 3:
      guard let reason = u32() else { return false }
      return reason == 1 || reason == 2 ? skip(4) : true
    default: return false
    }
  }

  private mutating func skipEntries() -> Bool {
    while true {
      guard let hasEntry = u32() else { return false }
      if hasEntry == 0 { return skip(4) }
      guard skip(8), opaque() != nil, skipAttributes() else { return false }
    }
  }
}
