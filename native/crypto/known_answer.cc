// Known answers for AES-GCM: for each key size one NIST case with AAD and a partial last block, and
// one long enough to take a kernel through its loops and past one aggregated reduction.
//
// Only the ICVs are written down: they cover the ciphertext, so a wrong ciphertext has a wrong ICV.
#include "crypto/known_answer.h"

#include <cstring>
#include <memory>
#include <optional>

#include "base/bytes.h"

namespace esplane::crypto {
namespace {

/// All in hexadecimal.
struct Vector {
  const char* source;
  const char* key;
  const char* nonce;
  const char* aad;
  const char* text;
  const char* icv;
};

constexpr Vector kVectors[] = {
    {"NIST CAVP gcmEncryptExtIV128, PTlen 408, AADlen 160, Count 0",
     "fe47fcce5fc32665d2ae399e4eec72ba",
     "5adb9609dbaeb58cbd6e7275",
     "88319d6e1d3ffa5f987199166c8a9b56c2aeba5a",
     "7c0e88c88899a779228465074797cd4c2e1498d259b54390b85e3eef1c02df60e743f1b840382c4bccaf3baf"
     "b4ca8429bea063",
     "291ef1982e4defedaa2249f898556b47"},
    {"NIST CAVP gcmEncryptExtIV192, PTlen 408, AADlen 160, Count 0",
     "9900227ae0fccbb0d35ecf954629c969f36e539399f32ebe",
     "1398992bfbd63149c14ba2a2",
     "788b6885feff23fc27bf9c462877b642ba1aa68d",
     "9d4227eed28b9738f21541c4755a923a43ba20d6f3d6a6b7e31e56f1502f5e93ed4c00511c6a7daeb0281ab9"
     "47e91756638154",
     "f22c7c21f5ece2de684821092194f26c"},
    {"NIST CAVP gcmEncryptExtIV256, PTlen 408, AADlen 160, Count 0",
     "24501ad384e473963d476edcfe08205237acfd49b5b8f33857f8114e863fec7f",
     "9ff18563b978ec281b3f2794",
     "adb5ec720ccf9898500028bf34afccbcaca126ef",
     "27f348f9cdc0c5bd5e66b1ccb63ad920ff2219d14e8d631b3872265cf117ee86757accb158bd9abb3868fdc0"
     "d0b074b5f01b2c",
     "bc95c532fecc594c36d1550286a7a3f0"},
    {"Wycheproof aes_gcm_test.json (commit dac1dd47), tcId 26",
     "f01a3c3559c58e80bc832544e069ef29",
     "cd5bc2aed48c3be836d7d786",
     "",
     "0de5aac3f151b526751de8f36010e4394498eba3c8bc790fd4ba96eb2da33e40ddca3cb36fec102ef37a6a51"
     "32cd389bbcabbd15e1c9d2700af35f19a01ba3b26843ab50833f252befbbb5529173d51ca364d7d09468b3b6"
     "8f740a6014b5b824206a6a7118bf144a223f87d76624c138bd24a5fa996f36e316087f3b59c1c71cd74a9184"
     "a518c8d9aa8c7243102dd39a93599e7bbe7dcd354d0780253767e9602f2f0cbbab7eae8d8c12cbad163f8fc2"
     "0d32559f798d2b7285dba6f66dc28d9b3f0a301aa89f5cd1b5a1734fe72c68f98c861d26e7dddaa08a227999"
     "f7c98d7315e7c2e3c3f198cdd4cfd62f62389998c7b760106d0a437f5050f74f9ce63948f5494bed71c88be4"
     "43654ef9eb0c867eede225c1bda181baabd8155360ccae65e54d399a3f7d670d11b53d7bbecda15d53e129ef"
     "2be29154e3c21411e6207977e2620007cf4b987dd2c304efe55bc2ef564074cd6e176a97184bff4cad0cd0cb"
     "85195c4e8398f27ca0d4d8c4851359eebdb606a213223903513f0db8c0fcc1f3a834738f6c9dd6adb43bdcbd"
     "921e7c3cd3b252e319f9e711edf55e8d7f1a320705a3ba77bfa33463a922a9f36b483590c4939fd977ace51c"
     "506d2e269b488a7169b696d828458ecb092ae3a9adf63a3a12809da51fc7340fc57db50fa1903f1c7de9ce60"
     "6f1de3f95538823c04e3bfb6549385643710a2919f2fbd54887bdfb239",
     "d070381db3e8d485e9416c92064180f1"},
    {"Wycheproof aes_gcm_test.json (commit dac1dd47), tcId 200",
     "701aea2830752a8cb9821af7b43895d39c2431ec877ace03",
     "a21c680b6e9e40c5b0686f09",
     "",
     "a3b7e43f27027c7ce0fd944fe706d89f917b442411cdafdcd74b7f428b7962b9e31b80c957e3f0dc17e66396"
     "24c0d0a069cc684b50e700fbc126f17951ee31a388b8966bfd792d2cbe67a0ed2752062813eb7e6138f8d333"
     "a1b6721c3d3fabe96060575e9876cec095317090724e1334fa291b90cb926237e331f719290740c7e7e44329"
     "76c52203d617b307798810c99df55f0a3fd1fed1b929fa1fcb007465942d9ae3c1d96430916ed15f92623c18"
     "1461d607a2977b494af88d62f4e3d8485d4600c3e1a09aae4ab743a74e87647db92ab8477f2a8d76193574c8"
     "555036330eaca69a12b15d66591d98b8fc08ba06035a549051484af9b3baf9cc366a1dea63885202a6dde3aa"
     "fcb3c7350f7b2fa4beaab7d5ec7983627ee70677310faaa0cf5ed3afe71c8cb2c3eea9c6416946f28dfb8cb6"
     "e618243bef4258a042b36ddd6afe755e982bc49d3017eee040c2cd255e820acd278ee866db3fa2a836bbca91"
     "07e55ae55953e2db0a62d9fc245ec589411d1c70b84d974af8798bd4b15d4c95339a96765f7b1283a6c67ebc"
     "04075ece478d40408259a25f8291ef9e2f2e5017de2377578c42067228fe70562ee00acd61855efeca0c37f1"
     "aa449c0568cc36b8eb2c138d978d8b8e2881acec5af7fe04e595bf615fede74f4948266a9404ee6f1a1241cd"
     "08c11ef4d037951dd9780752544518474fbc2d4e3355a72a7c80c703f9",
     "1a72a5eb33bdc848cd5f9f9379334955"},
    {"Wycheproof aes_gcm_test.json (commit dac1dd47), tcId 115",
     "afd579aa1accc682aca54e142aa69df09802f020b24a42c41db58f6997edc678",
     "9f79d1da957491069d774496",
     "",
     "bafc6e865c48bd34b7f9329e35cfb286cd4dc31f8316171218bf0471dffd35a330a181697ca5178688dd87ef"
     "e527924f90d1c78ba40de70952ff44c26efe2159e59358f3931573df9373a73b91ba9592e12140cc009feedd"
     "2595e5b6f066b5ef6de99d4c31552cecb0614f1dce990e46e7694382f3cf3ccfcd1ea62e563e5f0dc36cb5a8"
     "4e0c0b3f1f8f3fa9100f487195ff2e3169ad08136aa8ad566548c9836aa00dbac74716c26e838c1486a0084d"
     "3dfd692585e2e5ae7c75caf0e7af60219f96116ae963b4a5899cb30a120daaca7833776692c25ad7c185e6a2"
     "d70ce03ff156cd25d76153539d6855773e21142f9ba0313562875f105a2b770a15b533fbf5110dafb6932998"
     "2ab44ed1b9f321d7b79ae15a19d9f3bd4c504c24b23b812d514c19ae2a347cc18c12ce915a0bad7cc89a8720"
     "d4ba5ee0964fe05e4cc59a13f92c670b8655071e216f19ad05f4bbcca6dc7feeb188d6269c58065c98fcbbac"
     "183a9abb3811d80cb476544bd74b26991f3df987f0ed0ea6238659ac09a2250fecc0723ffc51647b74bdf454"
     "f26e11112c8bbd797f09a3be8251c6b5b319ed9537278cc1abedb32aa10840984b96e8636b289335846ae4fb"
     "d4a00f6600d98ebe25885c68d7043ce0dc5229d7e9bd51bea9b8fe0552f40688429c482629ced623f6074858"
     "147e73da3ff4ad2ae45c1a1c8a6c5b3b2c3d568a756608179f63b580fd",
     "32b276fd0c1da7a823a5af074aecacb5"},
};

constexpr uint32_t kVectorCount = sizeof kVectors / sizeof kVectors[0];
constexpr size_t kMaxText = 1024;

uint8_t nibble(char digit) {
  return static_cast<uint8_t>(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

uint32_t parse(const char* hex, uint8_t* out) {
  uint32_t bytes = 0;
  for (; hex[0] != '\0'; hex += 2) {
    out[bytes++] = static_cast<uint8_t>(nibble(hex[0]) << 4 | nibble(hex[1]));
  }
  return bytes;
}

/// One vector, parsed, with room for what the kernel makes of it.
struct Case {
  std::optional<KeyTable> key;
  uint8_t nonce[12], aad[32], icv[16], expected_icv[16];
  uint8_t text[kMaxText], expected_text[kMaxText];
  uint32_t aad_bytes, text_bytes;

  void load(const Engine& engine, const Vector& v) {
    uint8_t raw_key[32];
    const size_t key_bytes = parse(v.key, raw_key);
    const auto* suite = find_suite(kEncrAesGcm16, static_cast<uint16_t>(key_bytes * 8), kNone);
    key.emplace(engine, *suite, Keys{{raw_key, key_bytes}});
    parse(v.nonce, nonce);
    aad_bytes = parse(v.aad, aad);
    text_bytes = parse(v.text, expected_text);
    std::memcpy(text, expected_text, text_bytes);
    parse(v.icv, expected_icv);
  }

  bool sealed() const { return std::memcmp(icv, expected_icv, sizeof icv) == 0; }
  bool restored() const { return std::memcmp(text, expected_text, text_bytes) == 0; }

  void append_to(Batch& batch) {
    const uint32_t i = batch.size++;
    batch.key[i] = key->data();
    batch.nonce[i] = nonce;
    batch.aad[i] = aad;
    batch.aad_bytes[i] = aad_bytes;
    batch.text[i] = text;
    batch.text_bytes[i] = text_bytes;
    batch.icv[i] = icv;
    batch.icv_bytes[i] = sizeof icv;
  }
};

/// Seals the cases, spoils one ICV and opens them again.
bool round_trip(const Engine& engine, std::span<Case> cases) {
  Batch batch;
  for (Case& c : cases) c.append_to(batch);
  engine.seal(batch);
  for (const Case& c : cases) {
    if (!c.sealed()) return false;
  }
  const uint64_t all = (uint64_t{1} << cases.size()) - 1;
  cases.back().icv[15] ^= 1;
  if (engine.open(batch) != all >> 1) return false;
  for (const Case& c : cases) {
    if (!c.restored()) return false;
  }
  return true;
}

}  // namespace

bool passes_known_answers(const Engine& engine) {
  const auto cases = std::make_unique<Case[]>(kVectorCount);
  for (uint32_t i = 0; i < kVectorCount; i++) {
    cases[i].load(engine, kVectors[i]);
    if (!round_trip(engine, {&cases[i], 1})) return false;
  }
  return round_trip(engine, {cases.get(), kVectorCount});
}

}  // namespace esplane::crypto
