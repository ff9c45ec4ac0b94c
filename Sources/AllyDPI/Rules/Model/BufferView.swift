/// What an option looks at: a buffer, seen through transforms. Options with equal views share a cursor.
public struct BufferView: Sendable, Hashable {
  public var buffer: InspectionBuffer
  /// The frame's name behind ``InspectionBuffer/frame``; nil for the other buffers.
  public var parameter: String? = nil
  /// Which time a rule asks for a buffer of which a transaction may have several (``InspectionBuffer/isRepeated``): all options
  /// behind one keyword must hold in one of them, those behind another may hold in another.
  var instance = 0
  /// Done one after the other before anything is searched.
  public var transforms: [BufferTransform] = []

  public init(_ buffer: InspectionBuffer, parameter: String? = nil, transforms: [BufferTransform] = []) {
    self.buffer = buffer
    self.parameter = parameter
    self.transforms = transforms
  }

  /// The packet's payload or the stream, as it is.
  public static var payload: BufferView { BufferView(.payload) }

  /// Whether the buffer lies in one packet's headers: never in a stream.
  public var isHeader: Bool { buffer.isHeader }
}

/// What is done with a buffer's bytes before they are searched.
public enum BufferTransform: Sendable, Hashable {
  /// `dotprefix`: a `.` in front, so that `content:".example.com"` finds the domain and those below it.
  case dotPrefix
  case toLowercase
  case toUppercase
  // The digest's bytes, not their digits.
  case toMD5
  case toSHA1
  case toSHA256
  /// White space goes.
  case stripWhitespace
  /// Of each run of white space the first byte stays.
  case compressWhitespace
  /// `%41` becomes `A`, `+` becomes a blank.
  case urlDecode
  /// `xor`: with the key's bytes over and over.
  case xor(key: [UInt8])
  /// `pcrexform`: what the pattern's first group captures; a buffer that does not match stays as it is.
  case capture(pattern: [UInt8])
  /// `header_lowercase`: the names of the headers, not their values.
  case headerLowercase
  /// `strip_pseudo_headers`: HTTP/2's header lines that begin with a colon go.
  case stripPseudoHeaders
  /// Snort's `http_header:field NAME`: the value of one header out of header lines. The name is in lower case.
  case headerField(name: String)
}

extension ContentMatch { public var buffer: InspectionBuffer { view.buffer } }
extension PatternMatch { public var buffer: InspectionBuffer { view.buffer } }
extension ByteTest { public var buffer: InspectionBuffer { view.buffer } }
extension ByteJump { public var buffer: InspectionBuffer { view.buffer } }
extension ByteExtract { public var buffer: InspectionBuffer { view.buffer } }
extension ByteMath { public var buffer: InspectionBuffer { view.buffer } }
extension IsDataAt { public var buffer: InspectionBuffer { view.buffer } }
