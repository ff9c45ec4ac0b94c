/// Objects of one kind in a message (IEEE 1815 §4.2.2.7), with their points.
struct DNP3Object {
  struct Point {
    var prefix: UInt32
    var index: UInt32
    var values: [DNP3Value] = []
  }

  var group: UInt8
  var variation: UInt8
  var qualifier: UInt8
  var start: UInt32 = 0
  var stop: UInt32 = 0
  var count: UInt32 = 0
  var points: [Point] = []

  var prefixCode: UInt8 { qualifier >> 4 & 7 }
  var rangeCode: UInt8 { qualifier & 15 }

  /// Objects and points of one message that are read at most.
  private static var mostObjects: Int { 256 }
  private static var mostPoints: Int { 4096 }

  /// - Returns: whether all could be read.
  static func readList(_ reader: inout ByteReader, into objects: inout [DNP3Object]) -> Bool {
    var points = 0
    while !reader.isEmpty {
      guard objects.count < mostObjects, let group = reader.u8(), let variation = reader.u8(),
        let qualifier = reader.u8()
      else { return false }
      var object = DNP3Object(group: group, variation: variation, qualifier: qualifier)
      let isRanged = object.readRange(&reader)
      defer { objects.append(object) }
      guard isRanged else { return false }
      if variation == 0 || object.count == 0 { continue }
      points += Int(object.count)
      guard points <= mostPoints, object.readPoints(&reader) else { return false }
    }
    return true
  }

  private mutating func readRange(_ reader: inout ByteReader) -> Bool {
    switch rangeCode {
    case 0, 3: return readEnds(reader.u8().map(UInt32.init), reader.u8().map(UInt32.init))
    case 1, 4: return readEnds(reader.littleU16().map(UInt32.init), reader.littleU16().map(UInt32.init))
    case 2, 5: return readEnds(reader.littleU32(), reader.littleU32())
    case 6: return true
    case 7, 11: return readCount(reader.u8().map(UInt32.init))
    case 8: return readCount(reader.littleU16().map(UInt32.init))
    case 9: return readCount(reader.littleU32())
    default: return false
    }
  }

  private mutating func readEnds(_ first: UInt32?, _ last: UInt32?) -> Bool {
    guard let first, let last, first <= last, last - first < .max else { return false }
    start = first
    stop = last
    count = last - first + 1
    return true
  }

  private mutating func readCount(_ number: UInt32?) -> Bool {
    guard let number else { return false }
    count = number
    return true
  }

  private mutating func readPoints(_ reader: inout ByteReader) -> Bool {
    guard let layout = DNP3Layout.of(group, variation) else { return false }
    if layout.isPacked { return readPacked(&reader, layout) }
    for place in 0..<count {
      var point = Point(prefix: 0, index: start &+ place)
      guard let prefix = readPrefix(&reader) else { return false }
      point.prefix = prefix
      if (1...3).contains(prefixCode) { point.index = prefix }
      for field in layout.fields {
        guard field.read(&reader, into: &point.values, prefix: prefix) else { return false }
      }
      points.append(point)
    }
    return true
  }

  private func readPrefix(_ reader: inout ByteReader) -> UInt32? {
    switch prefixCode {
    case 0: 0
    case 1, 4: reader.u8().map(UInt32.init)
    case 2, 5: reader.littleU16().map(UInt32.init)
    case 3, 6: reader.littleU32()
    default: nil
    }
  }

  /// Points of one or two bits, the lowest first.
  private mutating func readPacked(_ reader: inout ByteReader, _ layout: DNP3Layout) -> Bool {
    guard prefixCode == 0 else { return false }
    let width = layout.packedBits
    let perByte = UInt32(8 / width)
    guard let bytes = reader.take(Int((count - 1) / perByte) + 1) else { return false }
    for place in 0..<count {
      let byte = bytes[bytes.startIndex + Int(place / perByte)]
      let value = byte >> UInt8(place % perByte * UInt32(width)) & (1 << UInt8(width) - 1)
      points.append(
        Point(
          prefix: 0, index: start &+ place,
          values: [DNP3Value(name: layout.packedName, number: .unsigned(UInt64(value)))]))
    }
    return true
  }

  func write(to json: inout JSONWriter) {
    json.beginObject()
    for (name, value) in [
      ("group" as StaticString, UInt32(group)), ("variation", UInt32(variation)), ("qualifier", UInt32(qualifier)),
      ("prefix_code", UInt32(prefixCode)), ("range_code", UInt32(rangeCode)), ("start", start), ("stop", stop),
      ("count", count),
    ] {
      json.key(name)
      json.number(value)
    }
    if !points.isEmpty {
      json.key("points")
      json.beginArray()
      for point in points {
        json.beginObject()
        json.key("prefix")
        json.number(point.prefix)
        json.key("index")
        json.number(point.index)
        for value in point.values { value.write(to: &json) }
        json.endObject()
      }
      json.endArray()
    }
    json.endObject()
  }
}

/// A named value of a point.
struct DNP3Value {
  enum Number {
    case unsigned(UInt64)
    case signed(Int64)
    case real(Double)
    case text(ArraySlice<UInt8>)
  }

  var name: StaticString
  var number: Number

  func write(to json: inout JSONWriter) {
    json.key(name)
    switch number {
    case .unsigned(let value): json.number(value)
    // As Suricata writes it: no sign.
    case .signed(let value): json.number(UInt64(bitPattern: value))
    case .real(let value): json.number(real: value)
    case .text(let bytes): json.text(bytes)
    }
  }
}
