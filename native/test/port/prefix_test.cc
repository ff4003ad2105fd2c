#include "port/prefix.h"

#include <doctest/doctest.h>

#include <stdexcept>

using esplane::port::Family;
using esplane::port::Prefix;

TEST_CASE("prefixes are read, with the bits behind their length cleared") {
  CHECK(Prefix::parse("10.1.2.3/16").to_string() == "10.1.0.0/16");
  CHECK(Prefix::parse("10.1.2.3/15").to_string() == "10.0.0.0/15");
  CHECK(Prefix::parse("192.0.2.1").to_string() == "192.0.2.1");
  CHECK(Prefix::parse("192.0.2.1").is_single_address());
  CHECK(Prefix::parse("255.255.255.255/0").to_string() == "0.0.0.0/0");
  CHECK(Prefix::parse("2001:db8:ffff::1/33").to_string() == "2001:db8:8000::/33");
  CHECK(Prefix::parse("::/0").family == Family::kIpv6);
  CHECK(Prefix::parse("fe80::1").is_single_address());
}

TEST_CASE("text that is no prefix is refused with what is wrong with it") {
  for (const char* text :
       {"", "10.1.2", "10.1.2.3/", "10.1.2.3/33", "10.1.2.3/-1", "10.1.2.3/8x", "::/129",
        "fe80::1%eth0", "10.1.2.3/ 8", "localhost", "10.1.2.3/4294967304"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(Prefix::parse(text), std::invalid_argument);
  }
  CHECK_THROWS_WITH(Prefix::parse("10.0.0.0/33"),
                    "\"10.0.0.0/33\" has no prefix length of 0 to 32");
}

TEST_CASE("a prefix contains the addresses whose leading bits are its own") {
  const auto contains = [](const char* prefix, const char* address) {
    return Prefix::parse(prefix).contains(Prefix::parse(address).address.data());
  };
  CHECK(contains("10.0.0.0/15", "10.1.255.255"));
  CHECK_FALSE(contains("10.0.0.0/15", "10.2.0.0"));
  CHECK(contains("0.0.0.0/0", "203.0.113.1"));
  CHECK(contains("2001:db8::1", "2001:db8::1"));
  CHECK_FALSE(contains("2001:db8::1", "2001:db8::2"));
  CHECK_FALSE(contains("2001:db8::/33", "2001:db8:8000::"));
}
