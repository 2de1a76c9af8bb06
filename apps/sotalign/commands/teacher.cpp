// sotalign teacher: fits only the linear teacher and saves it as a model that embed and eval accept.
#include <fmt/format.h>

#include <memory>
#include <optional>

#include "cli/files.h"
#include "cli/options.h"
#include "cli/report.h"
#include "commands/command.h"
#include "data/inputs.h"

namespace sotalign::app {

namespace {

struct TeacherArguments {
  DataPaths data;
  std::string out, json;
  TeacherOptions teacher = TrainOptions{}.teacher;  // the defaults of train
  SelfTrainingOptions self_training;
  int64_t hubness_bank = HubnessOptions{}.bank;
  Machine machine;
};

/// How the teacher came about.
struct Fit {
  TeacherSearch search;
  std::optional<TeacherChoice> choice = {};  // of --teacher auto
  TeacherOptions options = {};               // the resolved ones
};

nlohmann::ordered_json report(const Teacher& teacher, const Fit& fit, const TeacherOptions& asked,
                              const std::optional<RetrievalResult>& validation) {
  nlohmann::ordered_json json = {{"teacher", to_string(fit.options.kind)}, {"dim", teacher.dim()}};
  if (is_open(asked)) json["search"] = to_json(fit.search, asked);
  if (fit.choice) json["choice"] = to_json(*fit.choice);
  if (validation) json["validation"] = to_json(*validation);
  return json;
}

int run(const TeacherArguments& arguments) {
  std::vector<Needed> needed = {{arguments.out, "out"},
                                {arguments.data.pairs_images, "pairs_images"},
                                {arguments.data.pairs_texts, "pairs_texts"}};
  if (arguments.teacher.kind == TeacherKind::kSelfTraining) {
    needed.emplace_back(arguments.data.images, "images");
    needed.emplace_back(arguments.data.texts, "texts");
  }
  require(needed);
  require_at_least("hubness_bank", arguments.hubness_bank, 0);
  const Dataset data = read_dataset(arguments.data);
  Context context = make_context(arguments.machine);
  Matrix<float> pair_images = upload(context, data.pair_images),
                pair_texts = upload(context, data.pair_texts);
  const RowMemory memory = plan_row_memory(context, data.images, data.texts).memory;
  RowSet images, texts;
  Preprocessing image_preprocessing =
      prepare_rows(context, pair_images, data.images, memory, images, "unpaired images");
  Preprocessing text_preprocessing =
      prepare_rows(context, pair_texts, data.texts, memory, texts, "unpaired texts");
  Fit fit;
  Model model = naming_pairs(arguments.data.pairs_images, arguments.data.pairs_texts, [&] {
    fit.search = search_teacher(context, pair_images, pair_texts, first_teacher_options(arguments.teacher));
    fit.options = fit.search.chosen;
    if (arguments.teacher.kind == TeacherKind::kAuto) {
      Matrix<float> val_images = upload(context, data.val_images),
                    val_texts = upload(context, data.val_texts);
      if (data.has_validation()) {
        preprocess(context, image_preprocessing, val_images, val_images);
        preprocess(context, text_preprocessing, val_texts, val_texts);
      }
      ChosenTeacher chosen = choose_teacher(context,
                                            {.pairs_x = pair_images,
                                             .pairs_y = pair_texts,
                                             .unpaired_x = images,
                                             .unpaired_y = texts,
                                             .validation_x = val_images,
                                             .validation_y = val_texts},
                                            fit.options, arguments.self_training);
      fit.options = chosen.choice.options;
      fit.choice = std::move(chosen.choice);
      return Model(context, std::move(chosen.teacher));
    }
    if (arguments.teacher.kind != TeacherKind::kSelfTraining)
      return Model(context, fit_teacher(context, pair_images, pair_texts, fit.options));
    fit.options.kind = TeacherKind::kSelfTraining;
    return Model(context, self_train(context, pair_images, pair_texts, images, texts,
                                     with_teacher_options(arguments.self_training, fit.options)));
  });
  model.image_preprocessing = std::move(image_preprocessing);
  model.text_preprocessing = std::move(text_preprocessing);
  if (arguments.hubness_bank > 0 && !images.empty() && !texts.empty())
    model.hubness = model.make_bank(Projection::kTeacher, images, texts,
                                    {.bank = arguments.hubness_bank, .seed = arguments.teacher.seed});
  model.save(arguments.out);

  std::optional<RetrievalResult> validation;
  if (data.has_validation())
    validation = measure(context, model, Projection::kTeacher, arguments.data.val_images, data.val_images,
                         arguments.data.val_texts, data.val_texts);
  if (!arguments.json.empty())
    write_json(arguments.json, report(*model.teacher, fit, arguments.teacher, validation));
  if (arguments.machine.quiet || arguments.json == "-") return 0;
  fmt::print("teacher   {}\n", describe(*model.teacher, fit.options));
  if (is_open(arguments.teacher)) fmt::print("{}\n", search_table(fit.search));
  if (fit.choice) fmt::print("chosen    {}\n", fit.choice->reason);
  fmt::print("file      {}\n", arguments.out);
  if (validation)
    fmt::print("\nRetrieval on {} validation pairs, percent\n\n{}", data.val_images.rows(),
               retrieval_table({{"teacher", *validation}}));
  fmt::print("\nnext      sotalign eval --model {} --projection teacher --images TEST.npy --texts TEST.npy\n",
             arguments.out);
  return 0;
}

}  // namespace

Action add_teacher(CLI::App& app) {
  const auto arguments = std::make_shared<TeacherArguments>();
  OptionTable table(app);
  add_data_options(table, arguments->data, Role::kMatrix);
  table.section("Output");
  table.add("out", &arguments->out, "Write the model here, .safetensors; an existing file is replaced",
            Role::kSafetensors);
  table.common();
  table.add("json", &arguments->json,
            "Also write the result as JSON; -: to standard output, and print nothing else", Role::kOutput);
  table.common();
  add_bank_option(table, arguments->hubness_bank);
  add_teacher_options(table, arguments->teacher);
  add_self_training_options(table, arguments->self_training);
  table.section("Randomness");
  table.add("seed", &arguments->teacher.seed,
            "Seed of cross-validation, of the contrastive teacher, of self-training and of the bank");
  table.common();
  add_machine_options(table, arguments->machine);
  return [arguments] { return run(*arguments); };
}

}  // namespace sotalign::app
