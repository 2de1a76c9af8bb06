// KLOT between two small affinity matrices: value and gradient.
#include <cstdio>
#include <vector>

#include "sotalign/ot/klot.h"

int main() {
  const int64_t n = 3, m = 4;
  const std::vector<float> student = {.1f, .9f, .2f, .0f, .3f, .1f, .8f, .2f, .7f, .0f, .1f, .6f};
  const std::vector<float> teacher = {.2f, .8f, .1f, .1f, .1f, .2f, .9f, .1f, .9f, .1f, .0f, .7f};

  sotalign::Context context;  // the CPU, all cores
  const sotalign::Matrix<float> k(context, student.data(), n, m), k_teacher(context, teacher.data(), n, m);
  sotalign::Matrix<float> gradient(context, n, m);

  const sotalign::SolveOptions solve{.iterations = 1000, .tolerance = 1e-6};
  sotalign::Klot klot(context, n, m,
                      {.epsilon_student = 0.05, .epsilon_teacher = 0.02, .student = solve, .teacher = solve});
  klot.run(k, k_teacher, gradient);

  const sotalign::KlotResult result = klot.result();
  std::printf("KLOT %.6f after %lld and %lld iterations (%s)\n", result.value,
              static_cast<long long>(result.student.iterations),
              static_cast<long long>(result.teacher.iterations),
              sotalign::to_string(result.teacher.status).c_str());
  std::printf("dKLOT/dK[0][1] = %.6f\n", static_cast<double>(gradient.download()[1]));
}
