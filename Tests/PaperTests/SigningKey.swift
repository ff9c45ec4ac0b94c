import AllyHW
import Crypto
import Foundation

/// What images are signed with: Ed25519 (RFC 8032) over a header that holds the SHA-256 digest.
struct SigningKey {
  private let key = Curve25519.Signing.PrivateKey()

  /// The half that the BIOS has.
  var verifier: Verifier { Verifier(key: key.publicKey) }

  func sign(_ contents: [UInt8], version: UInt32 = 1, entry: UInt64 = 0) throws -> DPIImage {
    let digest = Array(SHA256.hash(data: contents))
    let signed = DPIImage.signedBytes(version: version, entry: entry, length: contents.count, digest: digest)
    return DPIImage(
      version: version, entry: entry, contents: contents, digest: digest,
      signature: Array(try key.signature(for: signed)))
  }

  struct Verifier: ImageVerifier {
    let key: Curve25519.Signing.PublicKey

    func digest(of bytes: [UInt8]) -> [UInt8] { Array(SHA256.hash(data: bytes)) }

    func isSigned(_ bytes: [UInt8], with signature: [UInt8]) -> Bool {
      key.isValidSignature(signature, for: bytes)
    }
  }
}
