// A user of libtorch: found with find_package(Torch), linked to torch.
#include <cstdio>
#include <string>

#include <torch/torch.h>

int main() {
  torch::manual_seed(0);
  const torch::Tensor one = torch::rand({4, 5});
  const torch::Tensor two = torch::rand({5, 3});
  const torch::Tensor product = torch::matmul(one, two);
  double sum = 0;
  for (int row = 0; row < 4; ++row)
    for (int column = 0; column < 3; ++column)
      for (int k = 0; k < 5; ++k)
        sum += one[row][k].item<double>() * two[k][column].item<double>();
  const std::string config = at::show_config();
  std::printf("torch %s: sum %.6f\n%s", TORCH_VERSION, sum, config.c_str());
  const bool close = std::abs(product.sum().item<double>() - sum) < 1e-4;
  return close && config.find("PyTorch built with") == 0 ? 0 : 1;
}
