// Parts that the pages of several commands have.
#pragma once

#include <string>

#include "cli/json.h"
#include "page/page.h"
#include "sotalign/eval/retrieval.h"

namespace sotalign::app {

/// Tables, in HTML, of what the teacher and the model retrieve.
std::string retrieval_comparison(const RetrievalResult& teacher, const RetrievalResult& model);

/// Every option with its value, as in a configuration.
Facts option_facts(const Json& options);

}  // namespace sotalign::app
