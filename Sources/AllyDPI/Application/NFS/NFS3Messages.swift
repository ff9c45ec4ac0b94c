internal import AllyPacket

/// Procedures of NFS 3 (RFC 1813 §3.3).
enum NFS3Procedure {
  static var getAttributes: UInt32 { 1 }
  static var lookup: UInt32 { 3 }
  static var access: UInt32 { 4 }
  static var read: UInt32 { 6 }
  static var write: UInt32 { 7 }
  static var create: UInt32 { 8 }
  static var makeDirectory: UInt32 { 9 }
  static var remove: UInt32 { 12 }
  static var removeDirectory: UInt32 { 13 }
  static var rename: UInt32 { 14 }
  static var readDirectoryPlus: UInt32 { 17 }
  static var commit: UInt32 { 21 }
}

/// Arguments of WRITE (RFC 1813 §3.3.7), with as much of the data as has come.
struct NFS3Write {
  var handle: ArraySlice<UInt8>
  var offset: UInt64
  var count: Int
  /// The data is on the disk when the reply comes: taken for all of the file.
  var isSynchronous: Bool
  var data: ArraySlice<UInt8>

  /// - Returns: nil when something in front of the data is missing or wrong.
  init?(_ arguments: ArraySlice<UInt8>) {
    var reader = ByteReader(arguments)
    guard let handle = reader.opaque(), let offset = reader.u64(), let count = reader.u32(), let stable = reader.u32(),
      stable <= 2, let length = reader.u32(), length == count
    else { return nil }
    self.init(
      handle: handle, offset: offset, count: Int(count), stable: stable, data: reader.rest.prefix(Int(length)))
  }

  init(handle: ArraySlice<UInt8>, offset: UInt64, count: Int, stable: UInt32, data: ArraySlice<UInt8>) {
    self.handle = handle
    self.offset = offset
    self.count = count
    isSynchronous = stable == 2
    self.data = data
  }
}

/// Results of READ (RFC 1813 §3.3.6), with as much of the data as has come.
struct NFS3Read {
  var status: UInt32
  var count: Int
  /// They reach the file's end.
  var isLast: Bool
  var data: ArraySlice<UInt8>

  /// - Returns: nil when something in front of the data is missing or wrong, and for a call that failed.
  init?(_ results: ArraySlice<UInt8>) {
    var reader = ByteReader(results)
    guard let status = reader.u32(), status == 0, reader.skipAttributes(), let count = reader.u32(),
      let isLast = reader.u32(), isLast <= 1, let length = reader.u32()
    else { return nil }
    self.init(
      status: status, count: Int(count), isLast: isLast == 1, data: reader.rest.prefix(Int(min(length, count))))
  }

  init(status: UInt32, count: Int, isLast: Bool, data: ArraySlice<UInt8>) {
    self.status = status
    self.count = count
    self.isLast = isLast
    self.data = data
  }
}

extension ByteReader {
  /// `post_op_attr` (RFC 1813 §2.6).
  fileprivate mutating func skipAttributes() -> Bool {
    switch u32() {
    case 0: true
    case 1: skip(84)
    default: false
    }
  }

  /// `post_op_fh3`.
  fileprivate mutating func optionalHandle() -> ArraySlice<UInt8>?? {
    switch u32() {
    case 0: .some(nil)
    case 1: opaque().map { .some($0) }
    default: nil
    }
  }

  /// `diropargs3`: a directory's handle and a name in it.
  fileprivate mutating func placeInDirectory() -> (handle: [UInt8], name: [UInt8])? {
    guard let handle = opaque(), let name = opaque() else { return nil }
    return (Array(handle), Array(name))
  }
}

extension NFSParser {
  func takeCall3(_ call: RPCCall) {
    var about = Call(version: call.version, procedure: call.procedure)
    if conversation.version == 0 { conversation.version = call.version }
    if !read(call, &about) { noteMalformed() }
    switch call.procedure {
    case NFS3Procedure.commit, NFS3Procedure.write: break
    case NFS3Procedure.read:
      if file(about.handle, from: .toClient) == nil {
        beginFile(
          about.handle, named: about.name, from: .toClient, identifier: call.identifier, procedure: call.procedure,
          version: call.version
        ).setCaller(of: call)
      }
    default: begin(call, about)
    }
    wait(for: call, about)
  }

  /// Reads a call's arguments, and does at once what needs no reply.
  ///
  /// - Returns: whether they are sound.
  private func read(_ call: RPCCall, _ about: inout Call) -> Bool {
    var reader = ByteReader(call.arguments)
    switch call.procedure {
    case NFS3Procedure.lookup:
      guard let place = reader.placeInDirectory() else { return false }
      about.name = place.name
    case NFS3Procedure.getAttributes, NFS3Procedure.access, NFS3Procedure.readDirectoryPlus, NFS3Procedure.read:
      guard let handle = reader.opaque() else { return false }
      if call.procedure == NFS3Procedure.read {
        guard let offset = reader.u64(), reader.u32() != nil else { return false }
        about.offset = offset
      }
      about.handle = Array(handle)
      about.name = names[about.handle] ?? []
    case NFS3Procedure.create, NFS3Procedure.makeDirectory, NFS3Procedure.remove, NFS3Procedure.removeDirectory:
      guard let place = reader.placeInDirectory() else { return false }
      (about.handle, about.name) = place
    case NFS3Procedure.rename:
      guard let from = reader.placeInDirectory(), let to = reader.placeInDirectory() else { return false }
      (about.handle, about.name) = from
      about.newName = to.name
    case NFS3Procedure.write:
      guard let write = NFS3Write(call.arguments), write.data.count == write.count else { return false }
      takeWrite(call, write, procedure: call.procedure)
    case NFS3Procedure.commit:
      guard let handle = reader.opaque(), reader.skip(12) else { return false }
      if let transaction = file(Array(handle), from: .toServer) {
        transaction.countPiece()
        transaction.closeFile(call, as: call.procedure)
        note(transaction)
      }
    default: break
    }
    return true
  }

  func takeWrite3(_ call: RPCCall, _ write: NFS3Write)
    -> (transaction: NFSTransaction, offset: UInt64, left: Int)?
  {
    if conversation.version == 0 { conversation.version = call.version }
    wait(for: call, Call(version: call.version, procedure: call.procedure))
    return takeWrite(call, write, procedure: call.procedure)
  }

  func takeReply3(_ reply: RPCReply, to call: Call) {
    var reader = ByteReader(reply.results)
    if call.procedure == NFS3Procedure.read {
      if let read = NFS3Read(reply.results), read.data.count == read.count {
        takeRead(reply, read, to: call)
      } else {
        noteMalformed()
      }
      return
    }
    // NULL has no results.
    let status = reader.u32() ?? 0
    var handle: [UInt8]?
    switch call.procedure {
    case NFS3Procedure.lookup where status == 0:
      if let found = reader.opaque() { handle = Array(found) } else { noteMalformed() }
    case NFS3Procedure.create where status == 0:
      // Records name the directory.
      if let made = reader.optionalHandle() {
        if let made { names[Array(made)] = call.name }
      } else {
        noteMalformed()
      }
    case NFS3Procedure.readDirectoryPlus where status == 0:
      if !readDirectory(&reader) { noteMalformed() }
    default: break
    }
    if let handle { names[handle] = call.name }
    answer(reply, status: status, handle: handle)
  }

  /// Entries that are read of one reply.
  private static var mostEntries: Int { 4096 }

  /// Learns what the entries' handles stand for (RFC 1813 §3.3.17).
  private func readDirectory(_ reader: inout ByteReader) -> Bool {
    guard reader.skipAttributes(), reader.skip(8) else { return false }
    for _ in 0..<NFSParser.mostEntries {
      guard let hasEntry = reader.u32() else { return false }
      if hasEntry == 0 { return true }
      guard reader.skip(8), let name = reader.opaque(), reader.skip(8), reader.skipAttributes(),
        let handle = reader.optionalHandle()
      else { return false }
      if let handle { names[Array(handle)] = Array(name) }
    }
    return true
  }
}

/// NFS 2 (RFC 1094). Its calls are known by their version and numbers; procedures are named as in version 3, and of those that
/// have the numbers of READ, WRITE and COMMIT there nothing is said.
extension NFSParser {
  private static var handleBytes: Int { 32 }

  func takeCall2(_ call: RPCCall) {
    var about = Call(version: call.version, procedure: call.procedure)
    if call.procedure == NFS3Procedure.lookup {
      var reader = ByteReader(call.arguments)
      guard let handle = reader.take(NFSParser.handleBytes) else { return noteMalformed() }
      about.handle = Array(handle)
      about.name = names[about.handle] ?? []
    }
    switch call.procedure {
    case NFS3Procedure.read, NFS3Procedure.write, NFS3Procedure.commit: break
    default: begin(call, about)
    }
    wait(for: call, about)
  }

  func takeReply2(_ reply: RPCReply, to call: Call) {
    var reader = ByteReader(reply.results)
    answer(reply, status: reader.u32() ?? 0)
  }
}
