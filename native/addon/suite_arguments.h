// The fields `suite` and `engine` of options that have them, by name.
#pragma once

#include <string>

#include "addon/arguments.h"
#include "crypto/engine.h"
#include "crypto/suite.h"

namespace esplane::addon {

/// A suite by its name.
inline const crypto::Suite& suite_argument(const Fields& fields) {
  const std::string name = fields.text("suite");
  for (const crypto::Suite& suite : crypto::suites()) {
    if (name == suite.name) return suite;
  }
  fields.refuse("suite", "the name of a suite");
}

/// One that there is for `suite`, or that which is in use.
inline const crypto::Engine& engine_argument(const Fields& fields, const crypto::Suite& suite) {
  const std::string name = fields.text("engine");
  for (const crypto::Engine* engine : crypto::engines(suite)) {
    if (name == engine->name) return *engine;
  }
  const crypto::Engine& chosen = crypto::engine(suite);  // may be of parts that no other engine combines
  if (name == chosen.name) return chosen;
  fields.refuse("engine", "the name of an engine of the suite");
}

}  // namespace esplane::addon
