/// A dictionary that holds so many entries at most; the oldest give way.
struct BoundedMap<Key: Hashable, Value> {
  private var values: [Key: Value] = [:]
  private var order: [Key] = []
  private let capacity: Int

  init(capacity: Int) { self.capacity = capacity }

  subscript(key: Key) -> Value? {
    get { values[key] }
    set {
      guard let newValue else {
        remove(key)
        return
      }
      if values.updateValue(newValue, forKey: key) == nil { order.append(key) }
      if order.count > capacity { values.removeValue(forKey: order.removeFirst()) }
    }
  }

  @discardableResult
  mutating func remove(_ key: Key) -> Value? {
    guard let value = values.removeValue(forKey: key) else { return nil }
    if let index = order.firstIndex(of: key) { order.remove(at: index) }
    return value
  }
}
