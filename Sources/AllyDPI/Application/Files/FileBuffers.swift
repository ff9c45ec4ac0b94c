/// The buffers of files, for all protocols that carry some.
extension ApplicationTransaction {
  /// The file of one side at a place in the order of appearance.
  private func file(from side: FlowSide, at index: Int) -> TransferredFile? {
    var left = index
    for file in files where file.side == side {
      if left == 0 { return file }
      left -= 1
    }
    return nil
  }

  func fileName(from side: FlowSide, at index: Int) -> ArraySlice<UInt8>? { file(from: side, at: index)?.name[...] }

  func fileBytes(from side: FlowSide, at index: Int) -> ArraySlice<UInt8>? { file(from: side, at: index)?.bytes[...] }

  /// Empty until the file's kind is known.
  func fileMagic(from side: FlowSide, at index: Int) -> ArraySlice<UInt8>? {
    file(from: side, at: index).map { $0.magic?[...] ?? [] }
  }

  /// Any of the three; nil for other buffers.
  func fileBuffer(_ buffer: InspectionBuffer, from side: FlowSide, at index: Int) -> ArraySlice<UInt8>? {
    switch buffer {
    case .fileName: fileName(from: side, at: index)
    case .fileData: fileBytes(from: side, at: index)
    case .fileMagic: fileMagic(from: side, at: index)
    default: nil
    }
  }
}
