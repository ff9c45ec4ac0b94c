/// Undoes the content encodings of a body (RFC 9110 §8.4), as lenient clients do: a body that is not what it says it is, is
/// tried as the other format, and passes as it is when it is neither.
final class ContentDecoder {
  /// How a body was encoded.
  enum Encoding {
    case gzip, deflate, brotli, lzma

    /// The one encoding that a `Content-Encoding` names; nil when it names none, several, or an unusual one.
    init?(_ value: ArraySlice<UInt8>) {
      if value.isCaselessEqual(to: "gzip") || value.isCaselessEqual(to: "x-gzip") {
        self = .gzip
      } else if value.isCaselessEqual(to: "deflate") || value.isCaselessEqual(to: "x-deflate") {
        self = .deflate
      } else if value.isCaselessEqual(to: "lzma") {
        self = .lzma
      } else {
        return nil
      }
    }
  }

  private final class Layer {
    let decompressor: any Decompressor
    /// The format as zlib knows it; nil for the others, which are not taken for one another.
    var format: Inflater.Format?
    var restarts = 0
    var passesThrough = false
    var hasEnded = false
    /// The first bytes, until zlib has accepted them: a failure tries again from here.
    var beginning: [UInt8] = []
    var produced = 0

    init(_ decompressor: any Decompressor, _ format: Inflater.Format?) {
      self.decompressor = decompressor
      self.format = format
    }
  }

  private var layers: [Layer] = []
  private let limit: Int
  private var produced = 0
  /// A body was not what it said.
  private(set) var hasFailed = false
  /// More came out than ``ApplicationLimits/decompressedBody``.
  private(set) var isBomb = false

  /// Content refers back to more than is kept of it.
  var hasReachedMemoryLimit: Bool {
    layers.contains { ($0.decompressor as? LZMADecompressor)?.hasReachedLimit ?? false }
  }

  var isEmpty: Bool { layers.isEmpty }

  /// - Parameter limit: bytes that may come out.
  init(limit: Int) { self.limit = limit }

  /// Adds an encoding around those that are there: it is undone after them.
  func append(_ encoding: Encoding) {
    let decompressor: (any Decompressor)?
    var format: Inflater.Format?
    switch encoding {
    case .gzip, .deflate:
      let ofZlib: Inflater.Format = encoding == .gzip ? .gzip : .deflate
      format = ofZlib
      decompressor = Inflater(ofZlib)
    case .brotli: decompressor = BrotliDecompressor()
    case .lzma: decompressor = LZMADecompressor()
    }
    if let decompressor { layers.append(Layer(decompressor, format)) }
  }

  /// Decodes a piece.
  func decode(_ data: RawSpan, _ body: (RawSpan) -> Void) { decode(data, layer: 0, body) }

  private func decode(_ data: RawSpan, layer index: Int, _ body: (RawSpan) -> Void) {
    guard index < layers.count, !layers[index].passesThrough else {
      if index < layers.count { return decode(data, layer: index + 1, body) }
      guard produced < limit else {
        isBomb = true
        return
      }
      produced += data.byteCount
      return body(data)
    }
    let layer = layers[index]
    if layer.hasEnded { return }
    if layer.produced == 0 && layer.beginning.count < 4096 { layer.beginning.append(data) }
    var outcome = inflate(data, layer, index, body)
    while outcome == .failed {
      hasFailed = true
      // Once something has come out, what follows is damaged, and not another format.
      guard layer.produced == 0, restart(layer) else {
        layer.passesThrough = true
        if layer.produced == 0 { decode(layer.beginning.rawBytes, layer: index + 1, body) }
        return
      }
      let again = layer.beginning[headerLength(layer.beginning)...]
      outcome = inflate(again.rawBytes, layer, index, body)
    }
    if outcome == .ended { layer.hasEnded = true }
  }

  /// What comes out last of a piece is held back until it is known that the piece was no accident: other text may well begin
  /// like the bare format.
  private func inflate(_ data: RawSpan, _ layer: Layer, _ index: Int, _ body: (RawSpan) -> Void) -> Inflater.Outcome {
    var held: [UInt8] = []
    let outcome = layer.decompressor.inflate(data) { piece in
      if piece.byteCount < Inflater.pieceSize {
        held.append(piece)
        return true
      }
      layer.produced += piece.byteCount
      decode(piece, layer: index + 1, body)
      return produced < limit
    }
    if !held.isEmpty, outcome != .failed || layer.produced > 0 {
      layer.produced += held.count
      decode(held.rawBytes, layer: index + 1, body)
    }
    return outcome
  }

  private func restart(_ layer: Layer) -> Bool {
    guard layer.restarts < 3, let format = layer.format, let inflater = layer.decompressor as? Inflater else {
      return false
    }
    layer.restarts += 1
    // First the same format behind an odd header, then the other one.
    let next = layer.restarts > 1 ? (format == .gzip ? Inflater.Format.deflate : .gzip) : format
    layer.format = next
    return inflater.restart(next)
  }

  /// How much a gzip header that zlib does not take covers (RFC 1952 §2.3); 0 without one.
  private func headerLength(_ bytes: [UInt8]) -> Int {
    guard bytes.count >= 10, bytes[0] == 0x1F, bytes[1] == 0x8B else { return 0 }
    if bytes[3] & 0x18 != 0 {
      guard let end = bytes[10...].firstIndex(of: 0) else { return 0 }
      return end + 1
    }
    return bytes[3] & 0x02 != 0 ? min(12, bytes.count) : 10
  }
}
